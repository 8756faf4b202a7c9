#!/bin/sh
# Installs what the demo, the tests and the bench need on Debian, and says what it does. Does nothing when all is there.
#
# Needed are Prosody (a real server to hold rooms on; any 0.12 or later), a C compiler (for the crate ring), Python (for
# the toy game server) and openssl (which checks the signatures of webhooks).
# The package's own Prosody must not start and listen on every address: a policy-rc.d forbids it during the install.
set -eu

missing=
command -v prosody >/dev/null 2>&1 || missing="$missing prosody"
command -v python3 >/dev/null 2>&1 || missing="$missing python3"
command -v openssl >/dev/null 2>&1 || missing="$missing openssl"
command -v cc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "install-deps: there is no apt-get here; please install:$missing" >&2
	exit 1
fi

sudo=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null 2>&1 || {
		echo "install-deps: please run as root: apt-get install$missing" >&2
		exit 1
	}
	sudo=sudo
fi

policy=/usr/sbin/policy-rc.d
ours=
cleanup() {
	if [ -n "$ours" ]; then $sudo rm -f "$policy"; fi
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e "$policy" ]; then
	echo "install-deps: writing $policy for a moment, so that the package does not start a server"
	printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
	$sudo chmod 755 "$policy"
	ours=yes
fi

echo "install-deps: installing with apt-get:$missing"
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing

# the package would start its own server at the next boot; the tests start their own
case "$missing" in
*prosody*)
	if command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then
		echo "install-deps: the packaged server stays off: systemctl disable prosody"
		$sudo systemctl disable -q --now prosody || true
	fi
	;;
esac
