package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
)

// write streams the image onto the disk, and says where its EFI system partition is.
func (a *Agent) write(ctx context.Context, w *work, n int) (res api.WriteResult, err error) {
	plan, err := a.target(ctx, w)
	if err != nil {
		return res, err
	}
	man, err := a.manifest(ctx, w.job)
	if err != nil {
		return res, err
	}
	src, err := a.source(w.job.Image.Data)
	if err != nil {
		return res, err
	}
	if err := a.clearWay(ctx, plan); err != nil {
		return res, err
	}
	put := a.machine.Write
	if put == nil {
		put = a.put
	}
	err = a.stream(ctx, w, n, man.RawSize, func(ctx context.Context, o image.Options) (err error) {
		res.ESP, err = put(ctx, plan.Disk, src, man, o)
		return err
	})
	res.Bytes = man.RawSize
	return res, err
}

// put writes onto the disk itself.
func (a *Agent) put(ctx context.Context, disk api.Disk, src image.Fetcher, man *image.Manifest, o image.Options) (esp string, err error) {
	d, err := a.machine.OpenDisk(disk)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", disk.Path, err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	stats, err := image.Write(ctx, src, man, d, o)
	if err != nil {
		return "", err
	}
	a.log.Info("image written", "file", disk.Path, "bytes", stats.Written, "zeroed", stats.Zeroed, "fetched", stats.Fetched,
		"retries", stats.Retries, "dur", stats.Took.Round(time.Millisecond).String())
	if err := d.RereadPartitions(ctx); err != nil {
		return "", err
	}
	esp, _, err = image.ESP(d, d.Size())
	if err != nil {
		return "", fmt.Errorf("look for an EFI system partition on %s: %w", disk.Path, err)
	}
	return esp, nil
}

// stream runs the write with a reporter of progress beside it; a stop from the server ends both.
func (a *Agent) stream(ctx context.Context, w *work, n int, total int64, write func(context.Context, image.Options) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done atomic.Int64
	var reporter sync.WaitGroup
	over := make(chan struct{})
	reporter.Go(func() { a.progress(ctx, w.job.ID, n, &done, total, over, cancel) })
	err := write(ctx, image.Options{
		Progress: func(n, _ int64) { done.Store(n) },
		Log:      a.log, RetryDelay: a.retry.First,
	})
	close(over)
	reporter.Wait()
	if cause := context.Cause(ctx); err != nil && cause != nil && errors.Is(cause, errStop) {
		err = cause
	}
	return err
}

// progress reports once per tick until over is closed. A report that is not answered is simply followed by the next.
func (a *Agent) progress(ctx context.Context, job string, n int, done *atomic.Int64, total int64, over <-chan struct{}, stop context.CancelCauseFunc) {
	t := time.NewTicker(a.tick)
	defer t.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-t.C:
		}
		at := done.Load()
		p := &api.Progress{Done: at, Total: total, BytesPerSecond: int64(float64(at) / time.Since(began).Seconds())}
		reply, err := a.client.report(ctx, job, n, api.StepReport{State: api.StepRunning, Progress: p})
		switch {
		case err == nil && reply.Stop:
			stop(fmt.Errorf("%w: %s", errStop, reply.Reason))
		case err != nil && lasting(err):
			stop(fmt.Errorf("%w: %w", errStop, err))
		}
	}
}

// manifest fetches and checks the image's manifest; it came over TLS, so its digests can be trusted.
func (a *Agent) manifest(ctx context.Context, job *api.Job) (*image.Manifest, error) {
	data, err := a.fetch(ctx, job.ID, api.BlobManifest)
	if err != nil {
		return nil, fmt.Errorf("fetch the image's manifest: %w", err)
	}
	m := new(image.Manifest)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("read the image's manifest: %w", err)
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if m.ID != job.Image.ID {
		return nil, fmt.Errorf("the order names image %s, and the manifest is of %s", job.Image.ID, m.ID)
	}
	return m, nil
}

// fetch repeats the request for a blob until it is answered. A lasting refusal is a *StatusError, and matches errStop when
// the session is over.
func (a *Agent) fetch(ctx context.Context, job, name string) ([]byte, error) {
	for try := 0; ; try++ {
		data, err := a.client.blob(ctx, job, name)
		switch {
		case err == nil:
			return data, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case refused(err):
			return nil, fmt.Errorf("%w: %w", errStop, err)
		case lasting(err):
			return nil, err
		}
		a.log.Warn("request was not answered, trying again", "file", name, "err", err)
		if err := a.retry.wait(ctx, try); err != nil {
			return nil, err
		}
	}
}

// source gives the image data below the assets URL.
func (a *Agent) source(path string) (image.Fetcher, error) {
	rel, err := url.Parse(path)
	if err != nil || rel.IsAbs() || rel.Host != "" || strings.HasPrefix(path, "/") || strings.Contains(path, "..") {
		return nil, fmt.Errorf("image data at %q: want a path below the assets", path)
	}
	u := a.cfg.Assets.ResolveReference(rel)
	return &patient{fetcher: &image.HTTPFetcher{Client: a.data, URL: u.String()}, agent: a}, nil
}

// patient waits for a server that is not there: a daemon that restarts costs a pause, not the install.
type patient struct {
	fetcher image.Fetcher
	agent   *Agent
}

// Fetch implements image.Fetcher. Only a server that cannot be reached is waited for; what it answers is not judged here.
func (p *patient) Fetch(ctx context.Context, offset int64) (io.ReadCloser, error) {
	for try := 0; ; try++ {
		body, err := p.fetcher.Fetch(ctx, offset)
		var unreached *url.Error
		if err == nil || ctx.Err() != nil || !errors.As(err, &unreached) {
			return body, err
		}
		p.agent.log.Warn("image data cannot be reached, trying again", "err", err)
		if err := p.agent.retry.wait(ctx, try); err != nil {
			return nil, err
		}
	}
}
