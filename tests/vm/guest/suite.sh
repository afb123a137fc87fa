#!/bin/bash
# What `scripts/test-vm` runs in the virtual machine: every test marked `vm`, the course's commands among them.
#
# Only files that have the mark are collected: importing all the others takes an emulated processor minutes.
set -eu
export BREAKROOM_VM=1 BREAKROOM_VM_OUT=/out
mapfile -t files < <(grep -rlE 'pytest\.mark\.vm\b' tests --include='test_*.py' | sort)
exec "${BREAKROOM_VENV:-.venv}/bin/python" -m pytest -m vm -v --timeout=900 -p no:cacheprovider \
    --junitxml=/out/junit.xml "${files[@]}" "$@"
