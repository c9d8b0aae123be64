package initrd

// class is a group of modules of which an initramfs holds what the tree has.
type class struct {
	name string
	need bool // a tree without any of them, as module or built in, makes no microkernel
	mods []string
}

// classes gives the modules that a server may need between its kernel's start and the reboot. Dependencies are not
// listed; they are found.
func classes() []class {
	return []class{
		{name: "nic", need: true, mods: nicModules()},
		{name: "disk", mods: diskModules()},
		{name: "bus", mods: []string{
			"virtio_pci", "virtio_mmio", "virtio_pci_modern_dev", "vmd", "ioatdma", "i2c_i801", "i2c_piix4",
		}},
		{name: "ipmi", mods: []string{"ipmi_msghandler", "ipmi_si", "ipmi_devintf", "ipmi_ssif", "acpi_ipmi"}},
		{name: "filesystem", mods: []string{
			"btrfs", "ext4", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8",
			// Mounting btrfs or ext4 asks the crypto layer for these by alias, which a tree without depmod does not resolve.
			"libcrc32c", "crc32c_generic", "crc32c_intel", "crc32c_arm64", "crc32_generic", "xxhash_generic",
			"sha256_generic", "sha256_ssse3", "blake2b_generic", "raid6_pq", "xor",
		}},
		{name: "efi", mods: []string{"efivarfs", "efi_pstore"}},
		{name: "clock", mods: []string{"rtc_cmos", "rtc_efi"}},
		{name: "phy", mods: []string{
			"realtek", "broadcom", "marvell", "marvell10g", "aquantia", "micrel", "microchip", "bcm_phy_lib", "at803x",
			"smsc", "intel_xway", "dp83867",
		}},
	}
}

// nicModules are the Ethernet drivers of servers and virtual machines.
func nicModules() []string {
	return []string{
		"virtio_net", "vmxnet3", "xen_netfront", "hv_netvsc", "ena", "gve",
		"e1000", "e1000e", "igb", "igbvf", "igc", "ixgb", "ixgbe", "ixgbevf", "i40e", "iavf", "ice", "idpf", "fm10k",
		"bnx2", "bnx2x", "bnxt_en", "tg3", "bnge",
		"mlx4_core", "mlx4_en", "mlx5_core",
		"qede", "qed", "qlcnic", "netxen_nic", "qlge",
		"sfc", "sfc_siena", "sfc_falcon", "cxgb3", "cxgb4", "cxgb4vf", "be2net", "enic", "nfp", "ionic",
		"r8169", "8139cp", "8139too", "atlantic", "alx", "atl1c", "atl1e", "jme", "sky2", "skge", "forcedeth", "pcnet32",
		"myri10ge", "octeontx2", "rvu_nicpf", "thunder_nic", "nicvf", "nicpf", "hns3", "hclge", "xgene_enet", "amd_xgbe",
		"txgbe", "ngbe", "macb", "stmmac", "dwmac_intel", "mvneta", "mvpp2", "fec", "genet",
	}
}

// diskModules are the drivers of disks and of the controllers in front of them; USB, iSCSI and Fibre Channel are left
// out, since racker never installs there.
func diskModules() []string {
	return []string{
		"virtio_blk", "virtio_scsi", "vmw_pvscsi", "xen_blkfront", "hv_storvsc",
		"nvme", "sd_mod", "ses",
		"ahci", "ata_piix", "ata_generic", "libahci", "sata_nv", "sata_sil24", "sata_mv", "sata_svw", "sata_via",
		"isci", "mpt3sas", "mptsas", "mptspi", "mpi3mr", "megaraid_sas", "megaraid_mbox", "smartpqi", "hpsa", "aacraid",
		"arcmsr", "3w_9xxx", "3w_sas", "mvsas", "pm80xx", "aic94xx", "aic7xxx", "aic79xx", "sym53c8xx", "esas2r", "hptiop",
		"mvumi", "stex", "cciss", "hisi_sas_v3_hw", "hisi_sas_main", "lsi_sas", "am53c974", "ufshcd_pci",
	}
}
