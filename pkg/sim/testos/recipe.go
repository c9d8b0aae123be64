package testos

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed all:recipe
var recipe embed.FS

// recipeKey is the SHA-256 of every name and content of the recipe, in hexadecimal.
func recipeKey() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(recipe, "recipe", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := recipe.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(content))
		sum.Write(content)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read the recipe: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// unpackRecipe writes the recipe's files below dir.
func unpackRecipe(dir string) error {
	root, err := fs.Sub(recipe, "recipe")
	if err != nil {
		return fmt.Errorf("open the recipe: %w", err)
	}
	if err := os.CopyFS(dir, root); err != nil {
		return fmt.Errorf("unpack the recipe: %w", err)
	}
	// An embedded file system has no modes.
	if err := os.Chmod(filepath.Join(dir, "build.sh"), 0o755); err != nil {
		return fmt.Errorf("unpack the recipe: %w", err)
	}
	return nil
}
