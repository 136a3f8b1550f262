//! Installs something exactly once, however many processes ask for it at the same time.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The beginning of the names of directories that are not ready, or no longer wanted.
const UNFINISHED: &str = "unfinished-";

/// The file in an installed directory that says what was installed.
const STAMP: &str = "stamp";

/// Something to install as one directory.
pub(crate) struct Install<'a> {
    /// The directory that everything is installed into.
    pub(crate) home: &'a Path,
    /// The name of this directory in there.
    pub(crate) name: &'a str,
    /// What is to be installed: when this text changes, it is installed anew.
    pub(crate) pins: &'a str,
}

impl Install<'_> {
    /// Returns the installed directory, after `build` filled it unless it is there already.
    ///
    /// `build` works in a directory that is renamed when it succeeded, so that a crash leaves nothing that
    /// looks complete; what it makes must bear being moved. `intact` is a quick look at an installed
    /// directory, for what can break later. Others wait for a lock that the system takes back from a
    /// process that dies.
    pub(crate) fn once<E: From<io::Error>>(
        &self,
        intact: impl Fn(&Path) -> bool,
        build: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let target = self.home.join(self.name);
        let ready =
            || fs::read_to_string(target.join(STAMP)).is_ok_and(|s| s == self.pins) && intact(&target);
        if ready() {
            return Ok(target);
        }
        fs::create_dir_all(self.home)?;
        let lock = File::create(self.home.join(format!("{}.lock", self.name)))?;
        lock.lock()?;
        if !ready() {
            self.sweep();
            let new = self.unfinished()?;
            build(new.path())?;
            fs::write(new.path().join(STAMP), self.pins)?;
            self.replace(&target, new)?;
        }
        Ok(target)
    }

    /// Puts the new directory in the place of the old one, if there is one.
    fn replace(&self, target: &Path, new: tempfile::TempDir) -> io::Result<()> {
        if target.exists() {
            let old = self.unfinished()?;
            fs::rename(target, old.path())?;
        }
        fs::rename(new.keep(), target)
    }

    fn prefix(&self) -> String {
        format!("{UNFINISHED}{}-", self.name)
    }

    fn unfinished(&self) -> io::Result<tempfile::TempDir> {
        tempfile::Builder::new().prefix(&self.prefix()).tempdir_in(self.home)
    }

    /// Removes what an installer that was killed left behind. Its children may still write there, so
    /// failing is no reason to stop.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.home) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&self.prefix()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
        time::Duration,
    };

    use super::*;

    const ALWAYS: fn(&Path) -> bool = |_| true;

    fn entries(home: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(home).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Protects a fresh machine: many tests start at once, one installs, none sees half of it.
    #[test]
    fn threads_share_one_installation() {
        let home = tempfile::tempdir().unwrap();
        let install = Install { home: home.path(), name: "thing", pins: "a==1" };
        let builds = AtomicUsize::new(0);
        let use_it = || {
            let build = |dir: &Path| {
                builds.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(50));
                fs::write(dir.join("content"), "whole")
            };
            let dir = install.once(ALWAYS, build).unwrap();
            assert_eq!(fs::read_to_string(dir.join("content")).unwrap(), "whole");
        };
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(use_it);
            }
        });
        assert_eq!(builds.load(Ordering::SeqCst), 1);
        assert_eq!(entries(home.path()), ["thing", "thing.lock"]);
    }

    /// Protects against testing with an old emulator after a pin has changed, and against a broken one.
    #[test]
    fn a_changed_pin_or_a_broken_directory_is_installed_anew() {
        let home = tempfile::tempdir().unwrap();
        let builds = AtomicUsize::new(0);
        let install = |pins, intact: fn(&Path) -> bool| {
            let build = |_: &Path| {
                builds.fetch_add(1, Ordering::SeqCst);
                io::Result::Ok(())
            };
            Install { home: home.path(), name: "thing", pins }.once(intact, build).unwrap();
            builds.load(Ordering::SeqCst)
        };
        assert_eq!(install("a==1", ALWAYS), 1);
        assert_eq!(install("a==1", ALWAYS), 1);
        assert_eq!(install("a==2", ALWAYS), 2);
        assert_eq!(install("a==2", |_| false), 3);
        assert_eq!(entries(home.path()), ["thing", "thing.lock"]);
    }

    /// Protects against taking a failed or killed installation for a complete one.
    #[test]
    fn a_failure_leaves_nothing_and_the_next_one_sweeps() {
        let home = tempfile::tempdir().unwrap();
        let install = Install { home: home.path(), name: "thing", pins: "a==1" };
        install.once(ALWAYS, |_| Err(io::Error::other("no network"))).unwrap_err();
        assert_eq!(entries(home.path()), ["thing.lock"]);

        fs::create_dir(home.path().join("unfinished-thing-killed")).unwrap();
        install.once(ALWAYS, |_| io::Result::Ok(())).unwrap();
        assert_eq!(entries(home.path()), ["thing", "thing.lock"]);
    }
}
