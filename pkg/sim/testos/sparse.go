package testos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// copySparse copies the file from to the path to, holes as holes, and replaces to in one step. To is writable.
func copySparse(ctx context.Context, from, to string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	target, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = target.Close() // may be closed already
			err = errors.Join(err, os.Remove(target.Name()))
		}
	}()
	if err := copyData(ctx, target, source, info.Size()); err != nil {
		return err
	}
	if err := errors.Join(target.Truncate(info.Size()), target.Chmod(0o644), target.Sync(), target.Close()); err != nil {
		return err
	}
	return os.Rename(target.Name(), to)
}

// copyData copies the ranges of source, size bytes long, that are not holes.
func copyData(ctx context.Context, target, source *os.File, size int64) error {
	for offset := int64(0); offset < size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		start, err := unix.Seek(int(source.Fd()), offset, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("find data: %w", err)
		}
		end, err := unix.Seek(int(source.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("find a hole: %w", err)
		}
		data := io.NewSectionReader(source, start, end-start)
		if _, err := io.Copy(io.NewOffsetWriter(target, start), data); err != nil {
			return err
		}
		offset = end
	}
	return nil
}
