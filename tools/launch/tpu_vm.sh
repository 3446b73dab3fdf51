#!/usr/bin/env bash
# A run on a TPU VM, from nothing to deleted. launch.py tpu-vm checks its arguments and calls it:
#   create (or queue) the TPU -> copy the code at a commit to all its hosts, install it -> run on all, stream the log
#   -> taken away or stopped: create it again, and the same command goes on from the bucket -> delete the TPU.
# Settings, in the environment: NAME ZONE TYPE RUNTIME WORK_DIR COMMIT; PROJECT, SERVICE_ACCOUNT (may be empty); QUEUED,
# SPOT, KEEP, DRY_RUN (1 or 0); RESTARTS (most times that it is created again). The run's command: the arguments.
# With DRY_RUN=1 every command is printed as it would be run, for a TPU that is never taken away, and none is.
set -euo pipefail

STOPPED=75 # what the run ends with after a SIGTERM, everything saved (SEMREP_EXIT_WHEN_STOPPED)
where=(--zone "$ZONE")
[ -z "$PROJECT" ] || where+=(--project "$PROJECT")

say() { echo "launch: $*" >&2; }

# Run a command; in a dry run print it.
run() {
    if [ "$DRY_RUN" = 1 ]; then
        printf '%q ' "$@" | sed 's/ $/\n/'
    else
        "$@"
    fi
}

on_all_hosts() { run gcloud compute tpus tpu-vm ssh "$NAME" "${where[@]}" --worker=all --command "$1"; }

# READY, PREEMPTED, ...; GONE where there is none. Nothing is guessed: another complaint of gcloud's ends the script.
state() {
    local said
    if said=$(gcloud compute tpus tpu-vm describe "$NAME" "${where[@]}" --format='value(state)' 2>&1); then
        echo "$said"
    elif [[ $said == *NOT_FOUND* || $said == *"not found"* ]]; then
        echo GONE
    else
        say "$said"
        return 1
    fi
}

create() {
    local more=()
    [ "$SPOT" = 0 ] || more+=(--spot)
    [ -z "$SERVICE_ACCOUNT" ] || more+=(--service-account "$SERVICE_ACCOUNT" --scopes cloud-platform)
    if [ "$QUEUED" = 1 ]; then
        run gcloud compute tpus queued-resources create "$NAME" --node-id "$NAME" "${where[@]}" \
            --accelerator-type "$TYPE" --runtime-version "$RUNTIME" ${more[@]+"${more[@]}"}
        wait_in_the_queue
    else
        run gcloud compute tpus tpu-vm create "$NAME" "${where[@]}" \
            --accelerator-type "$TYPE" --version "$RUNTIME" ${more[@]+"${more[@]}"}
    fi
}

wait_in_the_queue() {
    local describe=(gcloud compute tpus queued-resources describe "$NAME" "${where[@]}" '--format=value(state.state)')
    local now was=""
    if [ "$DRY_RUN" = 1 ]; then
        echo "# every 30 s until it says ACTIVE:"
        run "${describe[@]}"
        return
    fi
    while now=$("${describe[@]}"); do
        [ "$now" = "$was" ] || say "queued resource $NAME: $now"
        was=$now
        case $now in
            ACTIVE) return ;;
            FAILED | SUSPENDED | SUSPENDING | DELETING)
                say "queued resource $NAME is $now; it is deleted"
                return 1
                ;;
        esac
        sleep 30
    done
    return 1
}

delete() {
    if [ "$QUEUED" = 1 ]; then
        run gcloud compute tpus queued-resources delete "$NAME" "${where[@]}" --force --quiet
    else
        run gcloud compute tpus tpu-vm delete "$NAME" "${where[@]}" --quiet
    fi
}

# Whatever happens from here on, a TPU is not left behind to be paid for.
# shellcheck disable=SC2329  # called by the trap
end() {
    local code=$?
    trap - EXIT INT TERM
    if [ "$KEEP" = 1 ]; then
        say "$NAME is kept and costs money until: gcloud compute tpus tpu-vm delete $NAME ${where[*]}"
    elif ! delete; then
        say "$NAME could not be deleted; look at: gcloud compute tpus tpu-vm list ${where[*]}"
    fi
    exit "$code"
}

archive=/tmp/semrep_jax-$COMMIT.tar.gz
install() {
    run gcloud compute tpus tpu-vm scp "$archive" "$NAME:/tmp/" "${where[@]}" --worker=all
    # The hosts' own Python is older than 3.11; uv brings one.
    on_all_hosts "set -e; mkdir -p semrep_jax; tar -xzf $archive -C semrep_jax; cd semrep_jax
python3 -m pip install --quiet --user uv
[ -d .venv ] || python3 -m uv venv --quiet --python 3.12
python3 -m uv pip install --quiet -e '.[tpu,gs]'"
}

once() {
    if [ "$DRY_RUN" = 1 ] || [ "$(state)" != READY ]; then
        create
    fi
    install
    on_all_hosts "cd semrep_jax; SEMREP_EXIT_WHEN_STOPPED=$STOPPED tools/launch/on_host.sh $(printf '%q ' "$@")"
}

command=("$@")
run git archive --format=tar.gz --output "$archive" "$COMMIT"
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for attempt in $(seq 0 "$RESTARTS"); do
    code=0
    # Not `if once`: that would switch `set -e` off inside it.
    set +e
    (
        set -e
        trap - EXIT
        once "${command[@]}"
    )
    code=$?
    set -e
    if [ "$code" = 0 ]; then
        [ "$DRY_RUN" = 1 ] || say "done: $WORK_DIR"
        exit 0
    fi
    now=$(state)
    case $code:$now in
        1:READY | 2:READY)
            say "the run ended with $code: mend what it says; the same command goes on"
            exit "$code"
            ;;
    esac
    say "attempt $((attempt + 1)) ended with $code, $NAME is $now; the same command goes on from $WORK_DIR"
    if [ "$now" != READY ]; then
        [ "$now" = GONE ] && [ "$QUEUED" = 0 ] || delete || true
        sleep 30
    fi
done
say "taken away more than $RESTARTS times; the same command goes on"
exit 1
