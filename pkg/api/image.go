package api

import "time"

// ImageView is one image: GET /v1/images.
type ImageView struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	RawSize    int64     `json:"raw_size"`
	UsedSize   int64     `json:"used_size"`
	StoredSize int64     `json:"stored_size"`
	SHA256     string    `json:"sha256"` // of the raw image
	Added      time.Time `json:"added"`
	// FileSHA256 is the digest of the file as it was given; empty for an image that an older racker added.
	FileSHA256 string `json:"file_sha256,omitempty"`
	Profile    string `json:"profile,omitempty"` // its kind
	Arch       string `json:"arch,omitempty"`    // as GOARCH; empty when it cannot be told
	Version    string `json:"version,omitempty"` // of the release that it is
	Channel    string `json:"channel,omitempty"`
	Source     string `json:"source,omitempty"` // where the file came from
	// Signed is the signature that was verified; nil when there was none.
	Signed   *ImageSigned `json:"signed,omitempty"`
	Warnings []string     `json:"warnings,omitempty"`
	// UsedBy says what needs the image: "node-3 has it", "run-abcd1234".
	UsedBy []string `json:"used_by,omitempty"`
}

// ImageSigned is the OpenPGP signature by which an image's file was verified.
type ImageSigned struct {
	At      time.Time `json:"at"`      // when it was made
	Key     string    `json:"key"`     // fingerprint of the key that made it
	Primary string    `json:"primary"` // fingerprint of its primary key
}

// ImageAddLine is one JSON line of the answer to POST /v1/images (body: the file) and GET /v1/images/ID/verify: progress while
// it is read, then the image or an error.
type ImageAddLine struct {
	// Stage is one of the Pull stages, for a file that comes with its signature.
	Stage string     `json:"stage,omitempty"`
	Read  int64      `json:"read,omitempty"` // bytes of the file
	Image *ImageView `json:"image,omitempty"`
	Error *Error     `json:"error,omitempty"`
}

// ImageChange changes what is known of an image: PATCH /v1/images/ID -> ImageView.
type ImageChange struct {
	Profile string `json:"profile"` // its kind
}

// ImagePull orders the daemon to fetch an image, and says what becomes of it: POST /v1/pulls -> PullView. It names either a
// release, by OS, or a URL with a digest or a signature. The same order given twice is one pull.
type ImagePull struct {
	OS      string `json:"os,omitempty"`      // "flatcar"
	Channel string `json:"channel,omitempty"` // stable (the default), beta, alpha or lts
	Version string `json:"version,omitempty"` // empty: the channel's current one
	Arch    string `json:"arch,omitempty"`    // amd64 (the default of a release) or arm64
	URL     string `json:"url,omitempty"`
	// SHA256 is the digest of the file at URL, lower-case hex.
	SHA256 string `json:"sha256,omitempty"`
	// SignatureURL is where the detached OpenPGP signature of the file at URL is; Signature is that itself, in base64.
	SignatureURL string `json:"signature_url,omitempty"`
	Signature    string `json:"signature,omitempty"`
	Name         string `json:"name,omitempty"`
	Profile      string `json:"profile,omitempty"`
}

// States of a pull.
const (
	PullRunning   = "running"
	PullDone      = "done"
	PullFailed    = "failed"
	PullCancelled = "cancelled"
)

// Stages of a pull that is running.
const (
	PullAsks     = "asking"    // for the release, its key and its signature
	PullFetches  = "fetching"  // the file
	PullVerifies = "verifying" // its digest or signature
	PullKeeps    = "keeping"   // it is unpacked into the library
)

// PullView is one pull: GET /v1/pulls/ID. The daemon forgets old ones.
type PullView struct {
	ID    string `json:"id"`
	What  string `json:"what"`  // flatcar stable 4593.2.5 amd64
	State string `json:"state"` // one of the Pull states
	Stage string `json:"stage"` // the one that it is in, or ended in
	// Done and Total are bytes of the file in this stage; Total is 0 while it is not known.
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
	// Trouble is why it is asking again; empty when it goes on.
	Trouble string    `json:"trouble,omitempty"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended,omitzero"`
	// Joined is set in the answer to an order for what another order had begun.
	Joined bool `json:"joined,omitempty"`
	// Held is set when the library had the image before.
	Held  bool       `json:"held,omitempty"`
	Order ImagePull  `json:"order"`
	Image *ImageView `json:"image,omitempty"` // when it is done
	Error *Error     `json:"error,omitempty"` // when it failed
}
