"""The strategies of search, one file an idea; `strategy` says what one is and which there are."""
