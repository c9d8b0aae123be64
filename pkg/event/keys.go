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

	// Of Event.Fields alone.
	KeyType    = "type"    // DHCP message of the client: DISCOVER, REQUEST, ...
	KeyReply   = "reply"   // DHCP message of the answer: OFFER, ACK, NAK; absent for silence
	KeyClient  = "client"  // who speaks DHCP: one of the Client words, which pxe.Client.Kind gives
	KeyRole    = "role"    // whose packet it is: server, bmc, secondary (a NIC)
	KeyProblem = "problem" // a diagnosis in one sentence
	KeyIgnored = "ignored" // why a packet had no answer
	KeyBy      = "by"      // how a file was served: tftp or http
	KeySize    = "size"    // of the whole file, in bytes
	KeyDone    = "done"    // "true" when the whole file, or the rest that was asked for, was sent
	KeyReason  = "reason"  // of a failure, one sentence
	KeyFrom    = "from"    // the state before
	KeyCount   = "count"   // how many events are lost
)

// Values of KeyClient.
const (
	ClientPXE    = "pxe"  // PXE firmware
	ClientHTTP   = "http" // UEFI HTTP boot
	ClientIPXE   = "ipxe"
	ClientSystem = "dhcp" // an operating system, the microkernel too
)

// Values of KeyBy.
const (
	ByTFTP = "tftp"
	ByHTTP = "http"
)

// Values of KeyRole.
const (
	RoleServer    = "server"    // the primary NIC
	RoleBMC       = "bmc"       // the node's BMC
	RoleSecondary = "secondary" // the secondary NIC, which does not belong on the internal network
)
