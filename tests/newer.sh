#!/usr/bin/env bash
# Unpack the servers of Debian's next release into FOLDER, beside the machine's own: they need no
# more than its C library. Nothing is installed, and apt's own lists stay as they are.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
suite=forky

archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
[ -n "$archive" ] || { echo "apt knows no archive of Debian: is there a line in /etc/apt/sources.list.d?" >&2; exit 1; }

mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial"
cat > "$folder/apt/$suite.sources" <<SOURCES
Types: deb
URIs: $archive
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
options=(
  -o "Dir::Etc::sourcelist=$folder/apt/$suite.sources" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State::lists=$folder/apt/lists" -o "Dir::Cache=$folder/apt/cache" -o APT::Sandbox::User=root -qq
)
apt-get "${options[@]}" update
(cd "$folder/apt" && apt-get "${options[@]}" download prometheus promtool prometheus-alertmanager)
for package in "$folder"/apt/*.deb; do dpkg -x "$package" "$folder"; done
rm -r "$folder/apt"
