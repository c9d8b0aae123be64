#!/bin/sh
# The console is all that a node without a system can say.
echo 'testos: the boot failed before the system started'
journalctl --boot --no-pager --output=cat --priority=warning --lines=20
echo 'testos: waiting for a reset'
exec sleep infinity
