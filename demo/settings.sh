#!/bin/bash
# Keeps settings as scripts do: print the file anew with the value given.
# A careless value makes careless JSON.
file=$1 theme=$2 volume=$3
cat >"$file" <<DOC
{
  "theme": "$theme",
  "volume": $volume
}
DOC
