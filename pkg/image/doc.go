// Package image keeps OS images and writes them onto disks.
//
// The Library side reads a raw, gzip, bzip2, xz or zstd file once, as a stream, and keeps it as a directory with a
// manifest and one file of zstd frames. Each frame is one chunk of the raw image that can be fetched, checked and
// written alone. Ranges that are all zero are in no chunk.
//
// The write side (files write_*.go) streams these chunks onto a Target, such as a Disk. It checks each chunk before it
// writes it, resumes broken streams, makes every range that is in no chunk read as zero, and writes the first MiB, with
// boot code and partition table, last: a disk that holds a wrong or half an image does not boot.
//
// The reader of GUID partition tables follows UEFI 2.10, chapter 5.
//
// The package owns no goroutine beyond the call that started it. It neither serves images nor picks disks.
package image
