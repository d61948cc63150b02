//! A small disk for one store: a tmpfs in its own mount namespace, which can be made full,
//! read-only and larger.
//!
//! Needs no root if user namespaces are allowed, and changes no mount of the machine: it ends with
//! its holder process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::ebbtide::Ebbtide;
use super::eventually;
use super::process::Process;
use super::scene::Scene;
use crate::args;

/// The disk; a process that sleeps in its namespace keeps it.
pub struct Volume {
    holder: Process,
    at: PathBuf,
}

impl Volume {
    /// Mounts a disk of `size` (`1m`) at the scene's root, and sets the path where the scene sees
    /// it.
    pub fn mount(scene: &mut Scene<'_>, size: &str) -> Self {
        let at = scene.root.clone();
        std::fs::create_dir_all(&at).unwrap();
        let script = format!(
            "mount -t tmpfs -o size={size} tmpfs '{}' && exec sleep 3600",
            at.display()
        );
        let log = scene.scratch.join("volume.log");
        let mut holder = Process::start(
            Path::new("unshare"),
            args!["--map-root-user", "--mount", "sh", "-c", script],
            &[],
            &log,
        );
        let seen = PathBuf::from(format!("/proc/{}/root{}", holder.pid(), at.display()));
        eventually("the small disk is mounted", Duration::from_secs(20), || {
            let why =
                "no mount in a user namespace is permitted here, so the disk tests cannot run";
            assert!(holder.ended().is_none(), "{why}: {}", holder.tail());
            let mounts = std::fs::read_to_string(format!("/proc/{}/mounts", holder.pid())).ok()?;
            mounts
                .contains(&format!(" {} tmpfs", at.display()))
                .then_some(())
        });
        scene.seen = seen;
        Self { holder, at }
    }

    fn enter(&self) -> Vec<String> {
        args![
            "-t",
            self.holder.pid(),
            "--user",
            "--mount",
            "--preserve-credentials",
            "--"
        ]
        .to_vec()
    }

    /// Starts an instance that sees the disk.
    pub fn start(&self, scene: &Scene<'_>, name: &str) -> Ebbtide {
        let mut arguments = self.enter();
        arguments.extend_from_slice(args![
            scene.program.path().display(),
            "run",
            "--config",
            scene.config().display()
        ]);
        Ebbtide::start_by(
            Path::new("nsenter"),
            &arguments,
            &scene.scratch.join(format!("{name}.log")),
            &[],
        )
    }

    /// Changes the disk: `ro`, `rw`, `size=400m`. Waits while an open file prevents it.
    pub fn remount(&self, option: &str) {
        eventually("the disk is remounted", Duration::from_secs(30), || {
            let mount = args![
                "mount",
                "-o",
                format!("remount,{option}"),
                self.at.display()
            ]
            .to_vec();
            let status = Command::new("nsenter")
                .args(self.enter())
                .args(mount)
                .status()
                .unwrap();
            status.success().then_some(())
        });
    }

    /// Copies its files to the scene's root outside the namespace, and ends it.
    pub fn unload(self, scene: &mut Scene<'_>) {
        let from = scene.seen.join(".");
        let status = Command::new("cp")
            .arg("-a")
            .arg(from)
            .arg(&scene.root)
            .status()
            .unwrap();
        assert!(status.success());
        scene.seen.clone_from(&scene.root);
    }
}
