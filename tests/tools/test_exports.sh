#!/bin/sh
# Both libraries show the names of <mote/mote.h>: all of them, and no other.
set -eu
cd "$(mktemp -d)"
sed -n 's/^MOTE_API .*[ *]\(mote_[a-z0-9_]*\)(.*/\1/p' "$MOTE_SOURCE/include/mote/mote.h" | sort >declared
nm -D --defined-only "$MOTE_LIBRARY" | awk '{ print $3 }' | sort >shared
nm -g --defined-only "${MOTE_LIBRARY%.so*}.a" | awk 'NF == 3 { print $3 }' | sort >static
diff declared shared && diff declared static
