package bootd

// bootScript is the same for every machine. It asks for the machine's own answer by the NIC that booted; a 404 means that
// racker does not know the machine, and leaves it to its firmware. A reply that was lost needs a new DHCP exchange, since
// each one allows a single answer, so the script makes it.
//
// Settings such as ${platform} are iPXE's (ipxe.org/cfg).
const bootScriptText = `#!ipxe
set tries:int32 0
:ask
echo racker: asking for orders as ${mac} (${platform} ${buildarch})
chain --replace --autofree ipxe?mac=${mac:hexhyp}&uuid=${uuid}&platform=${platform}&arch=${buildarch} ||
inc tries
iseq ${tries} 5 && goto leave ||
echo racker: no orders yet, trying again
sleep 2
dhcp || goto ask
goto ask
:leave
echo racker: no orders, leaving the machine to its firmware
exit 1
`
