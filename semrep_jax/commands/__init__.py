"""Commands for single files, one file each; `command` says what one is and which there are."""
