package fleet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/racker-project/racker/pkg/sim"
)

// Blocks of 512 bytes of a fake image's partitions.
const (
	block     = 512
	firstPart = 2048
	espBlocks = 2048
	oemBlocks = 2048
	tailRoom  = 34

	fillSize = 1 << 20
	// MinImage is the least size of a fake image.
	MinImage = 4 << 20
)

// WriteImage writes a disk image that a fleet can install: a partition table like Flatcar's, with an EFI system partition, OEM
// and ROOT, and used bytes of data that does not compress in ROOT. No machine could boot it. Images of different sizes differ.
func WriteImage(name string, size, used int64) (err error) {
	if size < MinImage || size%fillSize != 0 || used < 0 || used > size-MinImage/2 {
		return fmt.Errorf("fake image of %d bytes, %d of them used: want whole MiB, at least %d, and 2 MiB unused", size, used, MinImage)
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write fake image: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = fmt.Errorf("write fake image: %w", err)
		}
	}()
	if err := f.Truncate(size); err != nil {
		return err
	}
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(size))
	binary.LittleEndian.PutUint64(seed[8:], uint64(used))
	random := rand.NewChaCha8(seed)
	id := func() (id [16]byte) {
		_, _ = random.Read(id[:])                       // never fails
		id[7], id[8] = id[7]&0x0f|0x40, id[8]&0x3f|0x80 // version 4, RFC 9562 5.4
		return id
	}
	root := uint64(firstPart + espBlocks + oemBlocks)
	err = sim.WriteGPT(f, size, id(), []sim.Partition{
		{Type: sim.TypeESP(), ID: id(), Name: "EFI-SYSTEM", First: firstPart, Last: firstPart + espBlocks - 1},
		{Type: sim.TypeLinux(), ID: id(), Name: oemName, First: firstPart + espBlocks, Last: root - 1},
		{Type: sim.TypeLinux(), ID: id(), Name: "ROOT", First: root, Last: uint64(size/block) - tailRoom},
	})
	if err != nil {
		return err
	}
	buf := make([]byte, fillSize)
	for done, at := int64(0), int64(root)*block; done < used && at < size-fillSize; done, at = done+fillSize, at+fillSize {
		_, _ = random.Read(buf) // never fails
		if _, err := f.WriteAt(buf[:min(fillSize, used-done)], at); err != nil {
			return err
		}
	}
	return nil
}
