#!/bin/sh
# Gets Debian's package of Prosody 13 into the folder that is named, without installing it, and prints the program to run;
# prints the installed one where that is 13 already. All else that is said goes to standard error.
#
# On Debian 12 the package comes from bookworm-backports, by apt with lists of its own in that folder, so that the
# machine's are not touched and signatures are checked as always. The libraries are those that Prosody 0.12 has brought.
set -eu
dir=$1
say() { echo "fetch-13: $*" >&2; }

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# the machine's own configuration may be nobody else's to read
: >"$dir/empty.cfg.lua"
version() { "$1" --config "$dir/empty.cfg.lua" version; }
is_13() { version "$1" 2>/dev/null | grep -q '^Prosody 1[3-9]\.'; }
if is_13 prosodyctl; then
	command -v prosody
	exit 0
fi
if is_13 "$dir/bin/prosodyctl"; then
	echo "$dir/bin/prosody"
	exit 0
fi

# shellcheck disable=SC1091
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
if [ "$codename" != bookworm ] || ! command -v apt-get >/dev/null 2>&1; then
	say "only Debian 12 has a package of Prosody 13 that is known here; where is yours? INNKEEPER_PROSODY=/path/to/prosody"
	exit 1
fi
site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Codename: bookworm' 'Component: main' | head -n 1)
if [ -z "$site" ]; then
	say "apt is told of no archive of Debian 12; where is yours? INNKEEPER_PROSODY=/path/to/prosody"
	exit 1
fi
keys=/usr/share/keyrings/debian-archive-keyring.gpg
apt() {
	apt-get -q -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$dir/lists" \
		-o Dir::Cache="$dir/cache" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root "$@" >&2
}
rm -rf "$dir/lists" "$dir/cache" "$dir/deb" "$dir/root" "$dir/bin"
mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/deb" "$dir/bin"
echo "deb [signed-by=$keys] $site bookworm-backports main" >"$dir/sources.list"
say "fetching prosody from bookworm-backports into $dir; nothing is installed"
apt update
(cd "$dir/deb" && apt download prosody)
dpkg-deb -x "$dir"/deb/prosody_13*.deb "$dir/root"
rm -rf "$dir/lists" "$dir/cache" "$dir/deb"

# the programs know where they were installed to
for program in prosody prosodyctl; do
	sed "s#^\(CFG_[A-Z]*DIR *= *'\)/usr/lib/#\1$dir/root/usr/lib/#" "$dir/root/usr/bin/$program" >"$dir/bin/$program"
	chmod 755 "$dir/bin/$program"
done
is_13 "$dir/bin/prosodyctl" || {
	say "the package does not run here: $(version "$dir/bin/prosodyctl" 2>&1 | tail -n 3)"
	exit 1
}
echo "$dir/bin/prosody"
