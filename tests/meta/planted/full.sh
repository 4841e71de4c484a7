#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --topology none --mem 1G
# timeout: 30
#
# Comes after `before`. What the run notes of this guest cannot be written any more.
printf 'KTAP version 1\n1..1\nok 1 - one\n'
rm "$OUT/progress"
mkdir "$OUT/progress"
