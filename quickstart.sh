#!/usr/bin/env bash
# Usage: ./quickstart.sh
# Installs what is missing (Debian or Ubuntu packages, as root or with sudo), builds the programs,
# runs a cluster of four processes on loopback, tells a story with models/demo, and shuts down.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

bin=build/release/bin
model=models/demo
start_seconds=60 # until the cluster must be whole
stop_seconds=20  # until a process must have ended after SIGTERM

logs=
declare -A pid_of=() # of the processes that we started and have not seen end
started=()           # their names, in order

say() { printf '\n== %s\n' "$*"; }
fail() {
  printf 'quickstart: %s\n' "$*" >&2
  exit 1
}

# start NAME PROGRAM ARGUMENT...: output goes to NAME.out, the log to NAME.log.
start() {
  local name=$1 program=$2
  shift 2
  "$bin/$program" "$@" >"$logs/$name.out" 2>"$logs/$name.log" &
  pid_of[$name]=$!
  started+=("$name")
  printf '%-12s pid %-7s %s %s\n' "$name" "$!" "$program" "$*"
}

running() { kill -0 "${pid_of[$1]}" 2>/dev/null; }

# ended NAME SECONDS: waits for it to end.
ended() {
  local deadline=$((SECONDS + $2))
  while running "$1"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# stop NAME: asks it to end, and expects that it does, with exit code 0.
stop() {
  local pid=${pid_of[$1]} code=0
  kill -TERM "$pid" 2>/dev/null || true
  ended "$1" "$stop_seconds" || fail "$1 still runs $stop_seconds s after SIGTERM"
  wait "$pid" || code=$?
  unset "pid_of[$1]"
  ((code == 0)) || fail "$1 ended with exit code $code"
  echo "$1 ended cleanly"
}

# The address that NAME says it listens on.
address_of() {
  local deadline=$((SECONDS + start_seconds)) address
  while ((SECONDS < deadline)); do
    address=$(sed -n 's/^listening on //p' "$logs/$1.out")
    if [[ -n $address ]]; then
      echo "$address"
      return
    fi
    running "$1" || fail "$1 ended before it listened"
    sleep 0.05
  done
  fail "$1 does not listen after $start_seconds s"
}

clean_up() {
  local code=$? name
  trap - EXIT
  for name in "${!pid_of[@]}"; do kill -TERM "${pid_of[$name]}" 2>/dev/null || true; done
  for name in "${!pid_of[@]}"; do
    ended "$name" "$stop_seconds" || kill -KILL "${pid_of[$name]}" 2>/dev/null || true
  done
  if ((code == 0)); then
    [[ -z $logs ]] || rm -rf "$logs"
  elif [[ -n $logs ]]; then
    for name in "${started[@]}"; do
      printf '\n-- the end of %s\n' "$logs/$name.log" >&2
      tail -n 15 "$logs/$name.log" >&2
    done
    printf '\nquickstart: failed; all logs are in %s\n' "$logs" >&2
  fi
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

build() {
  tools/install_packages.sh
  cmake --preset release --log-level=WARNING
  cmake --build --preset release --parallel "$(nproc)" --target \
    expertmesh expertmesh-coordinator expertmesh-attention-worker expertmesh-expert-worker
}

say "Building"
build
echo "built after $SECONDS s"

logs=$(mktemp -d "${TMPDIR:-/tmp}/expertmesh-quickstart.XXXXXX")
say "Starting 1 coordinator, 1 attention worker, 2 expert workers (logs in $logs)"
start coordinator expertmesh-coordinator --listen 127.0.0.1:0 --initial-expert-workers 2 \
  --model $model
server=$(address_of coordinator)
start attention expertmesh-attention-worker --coordinator "$server" --model $model --name a1
start expert-1 expertmesh-expert-worker --coordinator "$server" --model $model --name e1
start expert-2 expertmesh-expert-worker --coordinator "$server" --model $model --name e2

# Waits until the fleet is whole; meanwhile nobody may end.
start topology expertmesh topology --server "$server" --wait $start_seconds
while running topology; do
  for name in coordinator attention expert-1 expert-2; do
    running "$name" || fail "$name ended before the cluster was whole"
  done
  sleep 0.05
done
wait "${pid_of[topology]}" || fail "the cluster is not whole after $start_seconds s"
unset "pid_of[topology]"

prompt="Once upon a time"
say "Generating: expertmesh generate --server $server --prompt \"$prompt\" ..."
echo "(The model has 12 million weights and has read 44 old children's books, nothing else.)"
timeout 120 "$bin/expertmesh" generate --server "$server" --prompt "$prompt" --echo \
  --max-tokens 160 --temperature 0.7 --seed 9 | tee "$logs/text" || fail "generate failed"
[[ $(<"$logs/text") == "$prompt"?* ]] || fail "generate printed no text"

say "Who is in the fleet: expertmesh topology --server $server"
"$bin/expertmesh" topology --server "$server"

say "Shutting down"
for name in attention expert-1 expert-2 coordinator; do stop "$name"; done
say "All well after $SECONDS s"
