#!/usr/bin/env bash
# A whole federation on this machine: a SuperLink, six SuperNodes, one run. Two clients are poisoned.
#
# Usage: ./local.sh [KEY=VALUE ...]     settings of pyproject.toml, such as task="'language'"
# BIN names the folder with Flower's commands, PORT the first of eight free ports.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
bin="${BIN:-$(dirname "$(command -v flwr)")}"
port="${PORT:-18000}"
clients=6
work="$(mktemp -d)"
export FLWR_HOME="$work/home" FLWR_TELEMETRY_ENABLED=0 PYTHONPATH="$here/../.." OMP_NUM_THREADS=1
export PATH="$bin:$PATH"  # the SuperLink and the SuperNodes start further commands of Flower
mkdir -p "$FLWR_HOME"
cat > "$FLWR_HOME/config.toml" <<TOML
[superlink]
default = "loop"

[superlink.loop]
address = "127.0.0.1:$port"
insecure = true
TOML

started=()
kill_tree() {  # what a command has started first: some of it runs in a session of its own
  for child in $(pgrep -P "$1"); do kill_tree "$child"; done
  kill "$1" 2>/dev/null || true
}
stop() {
  for pid in "${started[@]}"; do kill_tree "$pid"; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

flower-superlink --insecure --disable-runtime-dependency-installation --port "$port" \
  > "$work/superlink.log" 2>&1 &
started+=($!)
for ((i = 0; i < clients; i++)); do
  flower-supernode --insecure --superlink "127.0.0.1:$port" --port "$((port + 2 + i))" \
    --node-config "partition-id=$i num-partitions=$clients" > "$work/supernode-$i.log" 2>&1 &
  started+=($!)
done
for ((tries = 0; tries < 120; tries++)); do
  (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
  sleep 0.5
done

settings=()
[ $# -gt 0 ] && settings=(--run-config "$*")
flwr run "$here" loop --stream "${settings[@]}" | tee "$work/run.log" | grep -v "^$" || true
grep -q "^round .*: kept clients" "$work/run.log" || { tail -n 30 "$work"/*.log >&2; exit 1; }
