#!/bin/sh
# The shared library shows the names of <mote/mote.h> and no other, and all of them.
set -eu

exported=$(nm -D --defined-only "$MOTE_LIBRARY" | awk '{ print $3 }' | sort)
declared=$(sed -n 's/^MOTE_API .*[ *]\(mote_[a-z0-9_]*\)(.*/\1/p' "$MOTE_SOURCE/include/mote/mote.h" | sort)
if [ "$exported" != "$declared" ]; then
    echo "exported by libmote.so:" "$exported"
    echo "declared in mote.h:" "$declared"
    exit 1
fi
