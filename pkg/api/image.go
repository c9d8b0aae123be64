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

// ImageAddLine is one JSON line of the answer to POST /v1/images (body: the file): progress while it is read, then the image
// or an error.
type ImageAddLine struct {
	Read  int64      `json:"read,omitempty"` // bytes of the file
	Image *ImageView `json:"image,omitempty"`
	Error *Error     `json:"error,omitempty"`
}
