package cli

import (
	"fmt"
	"slices"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// testNode gives server number i in a state.
func testNode(i int, state string) api.NodeView {
	return api.NodeView{
		Name: fmt.Sprintf("node-%d", i), Where: fmt.Sprintf("node-%d (U%d, serial S%d)", i, i, i),
		PrimaryMAC: fmt.Sprintf("52:54:00:00:00:%02x", i), BMCMAC: fmt.Sprintf("52:54:00:00:01:%02x", i),
		SecondaryMAC: fmt.Sprintf("52:54:00:00:02:%02x", i), Type: "worker",
		Address: fmt.Sprintf("172.24.213.%d", i+1), BMCAddress: fmt.Sprintf("172.24.213.%d", i+10),
		BMCReached: true, Power: api.PowerOff, State: state, Since: testTime(),
	}
}

func testManagement() api.NodeView {
	return api.NodeView{
		Name: "management", Where: "management", PrimaryMAC: "52:54:00:00:00:ff", SecondaryMAC: "52:54:00:00:02:ff",
		Management: true, Address: "172.24.213.1", State: stateManagement,
	}
}

// with changes a node.
func with(n api.NodeView, change func(*api.NodeView)) api.NodeView {
	change(&n)
	return n
}

// testRun gives a run with its three stages' counts.
func testRun(state string, code int, counts [3]int, states [3]string, nodes ...api.NodeView) api.RunView {
	v := api.RunView{ID: "run-1", State: state, Changed: true, Image: "0123456789abcdef", Began: testTime(), Nodes: nodes, Code: code}
	if state != runRunning {
		v.Ended = testTime().Add(4 * time.Minute)
	}
	for i, name := range []string{"Checking BMC connectivity", "OS installation via PXE", "OS bring-up"} {
		v.Stages = append(v.Stages, api.Stage{Name: name, Done: counts[i], Total: 3, State: states[i]})
	}
	return v
}

func failedNode(i int) api.NodeView {
	return with(testNode(i, stateFailed), func(n *api.NodeView) { n.Step, n.Reason, n.Run = "installing", "chunk 7: wrong checksum", "run-1" })
}

// ordered is a run with what a bootstrap asked for.
func ordered(v api.RunView) api.RunView {
	v.Request = api.RunRequest{
		Provision: "image", Image: v.Image, Nodes: []string{"52:54:00:00:00:01", "52:54:00:00:00:03"}, Exclude: []string{"node-2"},
		OnFailure: api.OnFailureRetry, Retries: 2, Canary: api.CanaryOff, NotAfter: testTime().Add(time.Hour), MinReady: 2,
	}
	return v
}

func testQuestion(i int) api.Question {
	n := failedNode(i)
	return api.Question{
		Node: n.PrimaryMAC, Where: n.Where, Step: n.Step, Reason: n.Reason, Asked: testTime(),
		Choices: []string{api.OnFailureRetry, api.OnFailureExclude, api.OnFailureCancel},
	}
}

// testRow gives the row of server number i in a table of disks.
func testRow(i, matched int) api.EraseRow {
	n := testNode(i, "agent")
	res := api.DiskResult{Matched: matched, Disk: api.Disk{
		Name: "vda", Path: "/dev/vda", Model: "QEMU", Serial: fmt.Sprintf("D%d", i), Transport: "virtio", Size: 4e9, Contents: []string{"gpt", "OS: Flatcar"},
	}}
	return api.EraseRow{Node: n.PrimaryMAC, Where: n.Where, Disk: res.Disk, Matched: matched, Digest: res.Digest()}
}

// waitsForDisks is a run that waits until the disks of some servers are confirmed.
func waitsForDisks(rows ...api.EraseRow) api.RunView {
	v := testRun(runRunning, 0, [3]int{3, 0, 0}, [3]string{stageDone, stageRunning, stageWaiting}, testNode(1, "agent"), testNode(2, "agent"), testNode(3, "agent"))
	v.Erase = &api.EraseView{Open: true, Rows: rows, Digest: api.EraseDigest(rows)}
	return v
}

// held is a node that waits in the microkernel.
func held(i int) api.NodeView {
	return with(testNode(i, "agent"), func(n *api.NodeView) { n.Held = true })
}

// installed is a node that runs the image of the tests.
func installed(i int) api.NodeView {
	return with(testNode(i, stateReady), func(n *api.NodeView) { n.Power, n.Image, n.Run = api.PowerOn, "0123456789abcdef", "run-1" })
}

func readyNodes() []api.NodeView {
	return []api.NodeView{testNode(1, stateReady), testNode(2, stateReady), testNode(3, stateReady)}
}

// fullNode is a node of which everything is known.
func fullNode() api.NodeView {
	return with(testNode(1, stateReady), func(n *api.NodeView) {
		n.Power, n.Run, n.Image, n.Clock = api.PowerOn, "run-1", "0123456789abcdef", "2010-01-01T00:00:00Z"
		n.Disk = &api.Disk{Path: "/dev/vda", Size: 8 << 30, Transport: "virtio", Serial: "disk1"}
		n.OtherOS = []string{"/dev/vdb: Debian GNU/Linux 12"}
		n.Identity = &api.Identity{
			BootMAC: n.PrimaryMAC, Serial: "S1", UUID: "0f3c1c5e-1111-4222-8333-abcdefabcdef", Vendor: "QEMU", Product: "Standard PC",
			Firmware: "uefi", Arch: "amd64", BMCMAC: n.BMCMAC,
		}
		n.Hardware = &api.Hardware{
			CPUs: 2, MemoryBytes: 1 << 30, NICs: []api.NIC{{Name: "eth0", MAC: n.PrimaryMAC, Driver: "virtio_net", Link: true}},
			Disks: []api.Disk{
				{Path: "/dev/vda", Size: 8 << 30, Transport: "virtio", Serial: "disk1", Contents: []string{"gpt"}},
				{Path: "/dev/sda", Size: 4 << 30, Transport: "usb", Rejected: "it is on USB"},
			},
		}
		n.Callback = &api.Callback{
			HostName: "node-1", HostKeys: []string{"256 SHA256:AAAA (ED25519)"}, OS: "Flatcar 4230.2.1",
			Units: map[string]string{"sshd.service": "active", "docker.service": "inactive"},
		}
		n.Evidence = []api.Evidence{
			{Time: testTime(), Kind: "dhcp", Text: "DISCOVER answered with 172.24.213.2"},
			{Time: testTime().Add(time.Second), Kind: "file", Text: "ipxe.efi, 850528 bytes"},
		}
		n.LogTail = "agent: wrote 8 GiB\nagent: \x1b[31mrebooting\n"
	})
}

// scenarios are the racks of the scripts in testdata/client, by name.
func scenarios() map[string]*testRack {
	done, running, waiting, failed := stageDone, "running", stageWaiting, stageFailed
	on := with(testNode(3, stateReady), func(n *api.NodeView) { n.Power = api.PowerOn })
	known := []api.NodeView{testManagement(), testNode(1, "known"), testNode(2, "known"), testNode(3, "known")}
	success := []api.RunView{
		testRun(runRunning, 0, [3]int{0, 0, 0}, [3]string{running, waiting, waiting}, known[1:]...),
		testRun(runRunning, 0, [3]int{3, 2, 0}, [3]string{done, running, running}, known[1:]...),
		testRun(runDone, 0, [3]int{3, 3, 3}, [3]string{done, done, done}, readyNodes()...),
	}
	leftOut := success[2]
	leftOut.Skipped = []string{"node-3 (U3, serial S3): it is on"}
	asking := testRun(runRunning, 0, [3]int{3, 1, 1}, [3]string{done, running, running}, testNode(1, stateReady), failedNode(2), failedNode(3))
	asking.Questions = []api.Question{testQuestion(2), testQuestion(3)}
	return map[string]*testRack{
		"mixed": {nodes: []api.NodeView{testManagement(), fullNode(), failedNode(2),
			with(testNode(3, "installing"), func(n *api.NodeView) {
				n.BMCReached, n.Progress = false, &api.Progress{Done: 43, Total: 100, BytesPerSecond: 1 << 20}
				n.Diagnosis = "the write is slow: 1.0 MiB per second, a quarter of what the others reach; look at the disk's SMART data and the node's link"
				n.Deadline, n.Tries = 200, 2
			}), testNode(4, stateExcluded)}, runs: success[1:2]},
		"success": {nodes: known, runs: success},
		"on":      {nodes: append(known[:3:3], on), runs: []api.RunView{success[0], leftOut}},
		"all on":  {nodes: []api.NodeView{testManagement(), on}},
		"none":    {nodes: []api.NodeView{testManagement(), testNode(1, stateExcluded)}},
		"fails": {nodes: known, runs: []api.RunView{success[0],
			testRun(runFailed, codeSomeNodes, [3]int{3, 2, 2}, [3]string{done, failed, failed},
				testNode(1, stateReady), failedNode(2), testNode(3, stateReady))}},
		"failing": {nodes: known, going: true, runs: []api.RunView{success[0],
			testRun(runFailed, codeSomeNodes, [3]int{3, 2, 2}, [3]string{done, failed, failed},
				testNode(1, stateReady), failedNode(2), testNode(3, stateReady))}},
		"going": {nodes: known, going: true, runs: append(
			slices.Repeat([]api.RunView{ordered(success[0])}, 6), ordered(success[1]), success[2])},
		"one going": {nodes: known, going: true, runs: []api.RunView{func() api.RunView {
			v := success[0]
			v.Request = api.RunRequest{Provision: "image", Nodes: []string{"52:54:00:00:00:02"}}
			return v
		}()}},
		"unreachable": {nodes: known, runs: []api.RunView{success[0], func() api.RunView {
			v := testRun(runFailed, codeUnreachable, [3]int{2, 0, 0}, [3]string{failed, waiting, waiting}, testNode(1, "known"),
				with(failedNode(2), func(n *api.NodeView) { n.Step, n.Reason = "checking-bmc", "the BMC refused the password" }), testNode(3, "known"))
			v.Reason = "not every BMC answered"
			return v
		}()}},
		"disks": {nodes: known, runs: []api.RunView{success[0], waitsForDisks(testRow(1, 1), testRow(2, 2)), success[2]}},
		"asks":  {nodes: known, runs: []api.RunView{success[0], asking, success[2]}},
		"ready": {nodes: []api.NodeView{testManagement(), installed(1), installed(2)}, runs: []api.RunView{success[2]}},
		"held": {nodes: known, runs: []api.RunView{success[0], testRun(runDone, 0, [3]int{3, 0, 0}, [3]string{done, waiting, waiting},
			held(1), held(2), held(3))}},
		"orders": {nodes: []api.NodeView{testManagement(), testNode(1, stateReady), testNode(2, stateKnown),
			with(on, func(n *api.NodeView) { n.State, n.Identity = stateKnown, &api.Identity{Serial: "S3"} }), testNode(4, stateKnown),
			with(testNode(5, stateReady), func(n *api.NodeView) { n.Run = "run-9" })}, runs: success},
		"no microkernel": {nodes: known, noMicrokernel: true},
		"endless":        {nodes: known, runs: success[:1]},
	}
}
