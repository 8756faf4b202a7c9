#!/bin/sh
# Makes a Python environment with schemathesis, as pinned in requirements.txt, in the folder that is named, unless it is
# there; installs python3-venv with apt-get where it is missing, and says so.
set -eu
venv=$1
pins=$(dirname "$0")/requirements.txt
if [ -x "$venv/bin/schemathesis" ] && cmp -s "$pins" "$venv/pins"; then exit 0; fi

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
	if [ "$(id -u)" -eq 0 ]; then sudo=; else sudo=sudo; fi
	echo "test-api: installing python3-venv with apt-get"
	$sudo apt-get update -qq
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-venv
fi
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/pip" install -q --disable-pip-version-check -r "$pins"
cp "$pins" "$venv/pins"
