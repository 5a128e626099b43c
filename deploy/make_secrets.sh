#!/bin/sh
# Makes the secrets that docker-compose.yml mounts, in deploy/secrets: each mode 0600, none ever overwritten.
# Without the `kek` file nobody can open the signing keys in the database again: keep a copy, apart from the database's backups.
set -eu
umask 077
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
dir=$here/secrets
names='postgres_password database_url redis_conf redis_url kek cookie_keys upstreams'

fail() {
  echo "error: $1" >&2
  echo "hint: $2" >&2
  exit 1
}

# An earlier version made all but the list of the company's own issuers: it alone is added, by the owner of the others.
if [ -e "$dir/kek" ] && [ ! -e "$dir/upstreams" ] && [ ! -L "$dir/upstreams" ]; then
  printf '[]\n' >"$dir/upstreams"
  [ "$(id -u)" -ne 0 ] || chown --reference="$dir/kek" "$dir/upstreams"
  echo "added $dir/upstreams, an empty list; everything else was left as it is" >&2
  exit 0
fi

for name in $names; do
  # They belong together (a URL holds the database's password), so one that exists stops all.
  if [ -e "$dir/$name" ] || [ -L "$dir/$name" ]; then
    fail "$dir/$name exists already; nothing was changed" "to begin anew, and lose all that was sealed with the old ones, remove the files first"
  fi
done

# Base64url of 32 random bytes, on one line: a key for the issuer, and a password that needs no escape in a URL.
random() {
  head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'
}

mkdir -p "$dir"
# Made aside and moved at the end, so that a run that is broken off leaves no half of a set.
new=$(mktemp -d "$dir/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM HUP

password=$(random)
redis_password=$(random)
[ ${#password} -eq 43 ] && [ ${#redis_password} -eq 43 ] || fail 'no random bytes could be read' 'head, base64 and tr must be there, and /dev/urandom'
printf '%s' "$password" >"$new/postgres_password"
printf 'postgresql://vouch:%s@postgres:5432/vouch' "$password" >"$new/database_url"
printf 'requirepass %s\n' "$redis_password" >"$new/redis_conf"
printf 'redis://default:%s@redis:6379' "$redis_password" >"$new/redis_url"
printf '%s\n' "$(random)" >"$new/kek"
printf '%s\n' "$(random)" >"$new/cookie_keys"
# The company's own issuers, with their client secrets, are entered here by hand: none so far.
printf '[]\n' >"$new/upstreams"

# The containers run as whoever can read the files. Root's would make them root, so root gives them to user 1000.
uid=$(id -u)
gid=$(id -g)
if [ "$uid" -eq 0 ]; then
  uid=1000
  gid=1000
  chown "$uid:$gid" "$new"/*
fi
for name in $names; do mv "$new/$name" "$dir/$name"; done

echo "made in $dir, mode 0600, owner $uid: $names" >&2
if [ "$uid" -ne 1000 ] || [ "$gid" -ne 1000 ]; then
  echo "hint: the services must run as you; add to the .env file beside docker-compose.yml:" >&2
  printf 'SECRETS_UID=%s\nSECRETS_GID=%s\n' "$uid" "$gid"
fi
