package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"

	"github.com/racker-project/racker/pkg/config"
)

// clusterFolders gives, by what is provisioned, the folders in the operator's home that hold the cluster of the rack. An
// image makes none of its own, but takes the servers of one that is there.
func clusterFolders() map[string][]string {
	return map[string][]string{provisionImage: {"flatcar-container-linux"}, provisionFlatcar: {"flatcar-container-linux"}}
}

// operatorHome is what ~ means: the home of who called sudo, else of the caller.
func operatorHome(sudoUser string) (string, error) {
	if sudoUser != "" {
		u, err := user.Lookup(sudoUser)
		if err != nil {
			return "", fmt.Errorf("home of %s, who called sudo: %w", sudoUser, err)
		}
		return u.HomeDir, nil
	}
	if home := config.Getenv("HOME"); home != "" {
		return home, nil
	}
	u, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("home of the caller: %w", err)
	}
	return u.HomeDir, nil
}

// checkClusterFolder refuses to provision over a cluster that somebody keeps in home.
func checkClusterFolder(home, provision string) error {
	for _, name := range clusterFolders()[provision] {
		dir := filepath.Join(home, name)
		empty, err := emptyFolder(dir)
		if err != nil {
			return fmt.Errorf("look for a cluster: %w", err)
		}
		if !empty {
			return withHint(fmt.Errorf("%s is not empty: the rack has a cluster, whose servers this would install anew", dir),
				"--config "+dir+" says that this is meant; or move the folder away")
		}
	}
	return nil
}

// emptyFolder reports whether nothing is in dir, which need not exist.
func emptyFolder(dir string) (bool, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}
