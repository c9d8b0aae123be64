package event

// Keys of log records and of Event.Fields: one list, so that every component says the same thing by the same word.
const (
	KeyNode  = "node"  // name of the node
	KeyMAC   = "mac"   // lower case, with colons
	KeyIP    = "ip"    // address without a prefix
	KeyXID   = "xid"   // DHCP transaction, hexadecimal
	KeyIface = "iface" // network interface of this machine
	KeyBMC   = "bmc"   // address of a BMC
	KeyRun   = "run"   // ID of a run
	KeyErr   = "err"   // an error
	KeyDur   = "dur"   // a duration
	KeyFile  = "file"  // path or URL path
	KeyBytes = "bytes" // a count of bytes
	KeyStep  = "step"  // step of a job
	KeyState = "state" // state of a node or a run
)
