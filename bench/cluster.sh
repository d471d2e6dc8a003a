# shellcheck shell=bash
# Sourced by the scripts of this folder: a cluster of four processes on loopback.
#
#   start_cluster  1 coordinator, 1 attention worker, 2 expert workers, models/tiny; returns when
#                  the fleet is whole. Sets `server`.
# When the script ends, however it does, its processes are ended, each by its id.

bin=build/release/bin
model=models/tiny
start_seconds=60
stop_seconds=20
server=

logs=
pids=()
declare -A pid_of=()

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# start NAME PROGRAM ARGUMENT...
start() {
  local name=$1 program=$2
  shift 2
  "$bin/$program" "$@" >"$logs/$name.out" 2>"$logs/$name.log" &
  pids+=("$!")
  pid_of[$name]=$!
}

stop_cluster() {
  local code=$? pid deadline=$((SECONDS + stop_seconds))
  trap - EXIT
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do
    while kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.05; done
    kill -KILL "$pid" 2>/dev/null || true
  done
  if ((code == 0)); then rm -rf "$logs"; else echo "logs are in $logs" >&2; fi
  exit "$code"
}

start_cluster() {
  [[ -x $bin/expertmesh ]] || fail "build first: ./quickstart.sh, or cmake --build --preset release"
  logs=$(mktemp -d "${TMPDIR:-/tmp}/expertmesh-bench.XXXXXX")
  trap stop_cluster EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  start coordinator expertmesh-coordinator --listen 127.0.0.1:0 --initial-expert-workers 2
  local deadline=$((SECONDS + start_seconds))
  until server=$(sed -n 's/^listening on //p' "$logs/coordinator.out") && [[ -n $server ]]; do
    ((SECONDS < deadline)) || fail "the coordinator does not listen after $start_seconds s"
    sleep 0.05
  done
  start attention expertmesh-attention-worker --coordinator "$server" --model $model --name a1
  start expert-1 expertmesh-expert-worker --coordinator "$server" --model $model --name e1
  start expert-2 expertmesh-expert-worker --coordinator "$server" --model $model --name e2
  "$bin/expertmesh" topology --server "$server" --wait $start_seconds >"$logs/topology.out" ||
    fail "the cluster is not whole after $start_seconds s"
}

# cpu_ticks NAME: what this process has computed so far, in clock ticks.
cpu_ticks() {
  local stat
  stat=$(<"/proc/${pid_of[$1]}/stat")
  read -r -a stat <<<"${stat##*) }"
  echo $((stat[11] + stat[12]))
}

# Runs `load` with these flags and tells, in Markdown, which processes the machine computed for
# meanwhile, and so what the limit was. Each worker computes on one thread (--threads), so one that
# computes all the time has 1 core.
cpu_shares() {
  local name tick_hz ns
  tick_hz=$(getconf CLK_TCK)
  local -A ticks=()
  local names=(attention expert-1 expert-2 coordinator)
  for name in "${names[@]}"; do ticks[$name]=$(cpu_ticks "$name"); done
  ns=$(date +%s%N)
  local TIMEFORMAT='%U %S' own
  own=$({ time "$bin/expertmesh" load --server "$server" "$@" >/dev/null; } 2>&1)
  ns=$(($(date +%s%N) - ns))
  {
    for name in "${names[@]}"; do echo "$name $(($(cpu_ticks "$name") - ticks[$name]))"; done
    echo "load-generator $own"
  } | awk -v hz="$tick_hz" -v ns="$ns" -v cores="$(nproc)" -v others="$(busy_with)" '
    BEGIN { printf "| process | cores |\n|---|---|\n" }
    {
      used = (NF == 3 ? $2 + $3 : $2 / hz) / (ns / 1e9)
      all += used
      if ($1 == "attention") attention = used
      printf "| %s | %.2f |\n", $1, used
    }
    END {
      printf "| together | %.2f of %d |\n\nThe limit: ", all, cores
      if (others != "nothing else") print "not told, since others computed here too: " others "."
      else if (all >= 0.9 * cores) print "the cores of the machine, which all processes share."
      else if (attention >= 0.8) print "the one compute thread of the attention worker."
      else print "neither the cores nor one thread: processes wait for one another, step by step."
    }'
}

# Who else computes here, for the record: a measurement among compilers is none.
busy_with() {
  local name found=()
  for name in ninja cc1plus clang++ ctest; do
    ! pgrep -x "$name" >/dev/null || found+=("$name")
  done
  echo "${found[*]:-nothing else}"
}

# A line per property of this machine, in Markdown; before the measurement.
machine() {
  lscpu | awk -F: '/^Model name/ { gsub(/^ +/, "", $2); print "- Processor: " $2 }'
  echo "- Cores: $(nproc)"
  echo "- Compute class, and instruction sets that it found:" \
    "$("$bin/expertmesh" version | sed -n 's/^compute class //p')"
  echo "- Ran before: $(busy_with); load average: $(cut -d' ' -f1-3 /proc/loadavg)"
}

# The commit that is measured, and whether more than it is.
commit() {
  git describe --always --dirty --abbrev=12 --exclude '*'
}
