# shellcheck shell=bash
# Sourced by the scripts of this folder: a cluster of four processes on loopback.
#
#   start_cluster [FLAG...]  1 coordinator, $attention_workers attention workers (1) with these
#                  flags, 2 expert workers, models/tiny; returns when the fleet is whole. Sets
#                  `server`.
# When the script ends, however it does, its processes are ended, each by its id.

bin=build/release/bin
model=models/tiny
attention_workers=${attention_workers:-1}
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
  local i
  for ((i = 1; i <= attention_workers; ++i)); do
    start "attention$( ((i == 1)) || echo "-$i")" expertmesh-attention-worker \
      --coordinator "$server" --model $model --name "a$i" "$@"
  done
  start expert-1 expertmesh-expert-worker --coordinator "$server" --model $model --name e1
  start expert-2 expertmesh-expert-worker --coordinator "$server" --model $model --name e2
  "$bin/expertmesh" topology --server "$server" --wait $start_seconds >"$logs/topology.out" ||
    fail "the cluster is not whole after $start_seconds s"
  wait_for_attention
}

# Until all attention workers are READY.
wait_for_attention() {
  local deadline=$((SECONDS + start_seconds)) ready
  until ready=$("$bin/expertmesh" topology --server "$server" | grep -c 'attention  *READY') &&
    ((ready == attention_workers)); do
    ((SECONDS < deadline)) || fail "$ready of $attention_workers attention workers are ready"
    sleep 0.1
  done
}

# thread_ticks NAME: "NAME THREAD TICKS" of each of its threads: clock ticks computed so far.
thread_ticks() {
  local stat text fields
  for stat in "/proc/${pid_of[$1]}/task/"*/stat; do
    text=$(<"$stat")
    read -r -a fields <<<"${text##*) }"
    echo "$1 ${text%% *} $((fields[11] + fields[12]))"
  done
}

# Runs `load` with these flags and tells, in Markdown, which processes the machine computed for
# meanwhile, and whether its cores or one thread were busy all the time, which is then the limit.
cpu_shares() {
  local name before='' after='' ns own TIMEFORMAT='%U %S'
  local names=(attention expert-1 expert-2 coordinator)
  for name in "${names[@]}"; do before+=$(thread_ticks "$name")$'\n'; done
  ns=$(date +%s%N)
  own=$({ time "$bin/expertmesh" load --server "$server" "$@" >/dev/null; } 2>&1)
  ns=$(($(date +%s%N) - ns))
  for name in "${names[@]}"; do after+=$(thread_ticks "$name")$'\n'; done
  awk -v hz="$(getconf CLK_TCK)" -v ns="$ns" -v cores="$(nproc)" -v others="$(busy_with)" \
    -v own="$own" -v names="${names[*]}" '
    NF != 3 { next }
    NR == FNR { before[$2] = $3; next }
    {
      used = ($3 - before[$2]) / hz / (ns / 1e9)
      of[$1] += used
      all += used
      if (used > most[$1]) most[$1] = used
      if (used > busiest) busiest = used
    }
    END {
      printf "| process | cores | its busiest thread |\n|---|---|---|\n"
      count = split(names, name, " ")
      for (i = 1; i <= count; ++i) {
        printf "| %s | %.2f | %.2f |\n", name[i], of[name[i]], most[name[i]]
      }
      split(own, seconds, " ")
      loader = (seconds[1] + seconds[2]) / (ns / 1e9)
      all += loader
      printf "| load generator | %.2f | |\n| together | %.2f of %d | |\n\nThe limit: ", \
        loader, all, cores
      if (others != "nothing else") print "not told, since others computed here too: " others "."
      else if (all >= 0.9 * cores) print "the cores of the machine, which all processes share."
      else if (busiest >= 0.9) print "the busiest thread."
      else print "no core and no thread is busy all the time. What is left is waiting: in each " \
        "step the processes, and the threads in them, hand on to one another, layer " \
        "by layer (concluded, not measured)."
    }' <(echo "$before") <(echo "$after")
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
