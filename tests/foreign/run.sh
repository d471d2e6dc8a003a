#!/usr/bin/env bash
# Usage: tests/foreign/run.sh BUILD_FOLDER
# Makes the virtual environment in BUILD_FOLDER if it is not there yet, and runs client_test.py with
# the programs of BUILD_FOLDER/bin. Exit code 0: all passed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1
python=/usr/bin/python3 # the distribution's, which has grpc
environment=$build/foreign_venv

"$python" -c 'import ensurepip, grpc, google.protobuf' || {
  echo "foreign: apt-get install python3-grpcio python3-protobuf python3-venv" >&2
  exit 1
}
if ! cmp -s "$here/requirements.txt" "$environment/requirements.txt"; then
  rm -rf "$environment"
  "$python" -m venv --system-site-packages "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes \
    -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$environment/requirements.txt"
fi
exec "$environment/bin/python" "$here/client_test.py" "$build/bin"
