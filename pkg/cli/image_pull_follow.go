package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

const (
	// pullPause is how often the daemon is asked about a pull.
	pullPause = 300 * time.Millisecond
	// pullPatience is how long a daemon that is restarted may be away.
	pullPatience = time.Minute
)

// pullFollower follows a pull to its end.
type pullFollower struct {
	io    *stdio.Streams
	pulls imagePuller
	json  bool
	line  liveLine
	shown time.Time
	stage string
}

// ordered takes a pull that was just ordered, and follows it unless detach is set.
func (f *pullFollower) ordered(ctx context.Context, v api.PullView, detach bool) error {
	if v.Joined {
		f.line.tell(fmt.Sprintf("Joined %s (%s), which was under way.", v.ID, v.What))
	}
	if !detach {
		var err error
		if v, err = f.follow(ctx, v); err != nil {
			return err
		}
	}
	if f.json {
		return f.io.JSON(v)
	}
	if v.Image == nil {
		_, err := fmt.Fprintf(f.io.Out, "%s\t%s\n", v.ID, stdio.Clean(v.What))
		return err
	}
	_, err := fmt.Fprintf(f.io.Out, "%s\t%s\n", stdio.Clean(v.Image.Name), v.Image.ID)
	return err
}

// follow shows progress until the pull is over. It outlives a restart of the daemon.
func (f *pullFollower) follow(ctx context.Context, v api.PullView) (api.PullView, error) {
	defer f.line.clear()
	tick := time.NewTicker(pullPause)
	defer tick.Stop()
	heard := time.Now()
	for v.State == api.PullRunning {
		f.show(&v)
		select {
		case <-ctx.Done():
			f.line.end(fmt.Sprintf("Left; the daemon goes on with %s.", v.ID))
			return v, withHint(fmt.Errorf("follow %s: %w", v.ID, ctx.Err()), "racker image pull --show, or --cancel")
		case <-tick.C:
		}
		now, err := f.pulls.PullOf(ctx, v.ID)
		switch {
		case err == nil:
			v, heard = now, time.Now()
		case ctx.Err() != nil:
		case !api.Unreachable(err) || time.Since(heard) > pullPatience:
			return v, err
		}
	}
	return f.over(v)
}

func (f *pullFollower) over(v api.PullView) (api.PullView, error) {
	switch {
	case v.Error != nil:
		f.line.clear()
		return v, fmt.Errorf("pull %s: %w", v.What, v.Error)
	case v.State == api.PullCancelled:
		f.line.clear()
		return v, fmt.Errorf("pull %s: it was cancelled", v.What)
	case v.Image == nil:
		return v, errors.New("the daemon says nothing of the image")
	case v.Held:
		f.line.end(fmt.Sprintf("%s is held already, as %s", v.What, v.Image.Name))
	default:
		f.line.end(fmt.Sprintf("Pulled %s: %s, %s used, %s stored%s", v.What, bytesText(v.Image.RawSize),
			bytesText(v.Image.UsedSize), bytesText(v.Image.StoredSize), signedText(v.Image)))
	}
	return v, nil
}

// signedText says by which signature an image was verified.
func signedText(img *api.ImageView) string {
	if img.Signed == nil {
		return ""
	}
	return "; signed on " + img.Signed.At.Format(time.DateOnly) + " by a key of " + img.Signed.Primary
}

// show writes where a pull stands: now and then, and at each new stage.
func (f *pullFollower) show(v *api.PullView) {
	pause := progressPausePlain
	if f.io.ErrTTY {
		pause = progressPause
	}
	now := time.Now()
	if v.Stage+v.Trouble == f.stage && now.Sub(f.shown) < pause {
		return
	}
	f.shown, f.stage = now, v.Stage+v.Trouble
	f.line.show(stageText(v.Stage)+" "+v.What+amount(v.Done, v.Total)+askingText(v.Trouble), "")
}

// stageSends is what fetching is for whom sends.
const stageSends = "sending"

func stageText(stage string) string {
	switch stage {
	case stageSends:
		return "Sending"
	case api.PullFetches:
		return "Fetching"
	case api.PullVerifies:
		return "Verifying"
	case api.PullKeeps:
		return "Keeping"
	}
	return "Asking for"
}

func amount(done, total int64) string {
	switch {
	case done == 0:
		return ""
	case total == 0:
		return ": " + bytesText(done)
	}
	return fmt.Sprintf(": %s of %s (%d%%)", bytesText(done), bytesText(total), done*100/total)
}

func askingText(trouble string) string {
	if trouble == "" {
		return ""
	}
	return "; asking again: " + trouble
}
