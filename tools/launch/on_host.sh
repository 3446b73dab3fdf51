#!/usr/bin/env bash
# on_host.sh COMMAND...: run it in the background and stream its log; its exit code is this script's. Where it runs
# already (the connection broke and came back) only the log is streamed, from its start. Called from the checkout.
set -euo pipefail
here=${SEMREP_ON_HOST:-$HOME/.semrep_jax}
mkdir -p "$here"

if ! { [ -f "$here/pid" ] && kill -0 "$(cat "$here/pid")" 2>/dev/null; }; then
    rm -f "$here/code"
    [ ! -d .venv ] || export PATH="$PWD/.venv/bin:$PATH"
    # shellcheck disable=SC2016  # expanded by the inner shell
    setsid nohup bash -c 'trap : TERM INT; "$@"; echo $? > "$0.new"; mv "$0.new" "$0"' "$here/code" "$@" \
        > "$here/log" 2>&1 < /dev/null &
    echo $! > "$here/pid"
fi
# SIGTERM (a host that is stopped, Ctrl-C over ssh) goes to the run and its shell, which waits for what it ends with.
trap 'kill -TERM -- "-$(cat "$here/pid")" 2>/dev/null || true' TERM INT
tail --pid="$(cat "$here/pid")" -n +1 -F "$here/log" 2>/dev/null &
wait $! || wait $! || true
[ -f "$here/code" ] || exit 1
exit "$(cat "$here/code")"
