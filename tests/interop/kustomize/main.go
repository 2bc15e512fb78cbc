// SPDX-License-Identifier: Apache-2.0

// Renders a folder of manifests: kustomize as a library, pinned by go.sum.
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	options := krusty.MakeDefaultOptions()
	for _, folder := range os.Args[1:] {
		resources, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), folder)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		text, err := resources.AsYaml()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Stdout.Write(text)
	}
}
