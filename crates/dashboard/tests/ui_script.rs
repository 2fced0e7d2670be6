//! `scripts/ui.sh` in a folder of its own, with an npm that only notes what it is asked: when it builds, and that no UI of
//! other sources is left to get into a binary.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `ci` makes the modules and `build` the page, unless a file tells it to fail.
const NPM: &str = r#"#!/bin/sh
case "$*" in
ci*) [ ! -e ../ci-fails ] || exit 1; mkdir -p node_modules; : >node_modules/.package-lock.json ;;
run*build*) mkdir -p dist; echo page >dist/index.html; echo built >>../builds; [ ! -e ../build-fails ] || exit 3 ;;
*) echo "npm $*" >&2; exit 2 ;;
esac
"#;
const INPUTS: [&str; 8] = [
    "src/main.ts",
    "public/icon.svg",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "svelte.config.js",
    "tsconfig.json",
];

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        for input in INPUTS {
            folder.write(&format!("ui/{input}"), "1");
        }
        folder.write("ui/dist/.gitignore", "*");
        folder.write("bin/npm", NPM);
        fs::set_permissions(folder.path("bin/npm"), fs::Permissions::from_mode(0o755)).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/ui.sh");
        folder.write("scripts/ui.sh", &fs::read_to_string(script).unwrap());
        folder
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// With these folders before the system's on the path, which has no npm of its own here.
    fn run(&self, with_npm: bool) -> Output {
        let tools = self.path("tools");
        if !tools.exists() {
            fs::create_dir(&tools).unwrap();
            for tool in ["sh", "dirname", "find", "sha256sum", "sort", "cat", "mkdir", "rm"] {
                let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
                let found = found.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("{tool} is everywhere"));
                std::os::unix::fs::symlink(found, tools.join(tool)).unwrap();
            }
        }
        let npm = if with_npm { format!("{}:", self.path("bin").display()) } else { String::new() };
        let mut script = Command::new("/bin/sh");
        script.arg(self.path("scripts/ui.sh")).env("PATH", format!("{npm}{}", tools.display()));
        script.output().unwrap()
    }

    #[track_caller]
    fn build(&self) {
        let output = self.run(true);
        assert!(output.status.success(), "{output:?}");
    }

    fn builds(&self) -> usize {
        fs::read_to_string(self.path("builds")).map_or(0, |text| text.lines().count())
    }

    fn has_ui(&self) -> bool {
        assert!(self.path("ui/dist/.gitignore").exists(), "the repository's own file stays");
        self.path("ui/dist/index.html").exists()
    }
}

#[test]
fn builds_once_and_again_for_every_input_that_changes() {
    let folder = Folder::new();
    folder.build();
    folder.build();
    assert_eq!(folder.builds(), 1, "nothing changed");
    for (index, input) in INPUTS.iter().enumerate() {
        folder.write(&format!("ui/{input}"), "2");
        folder.build();
        assert_eq!(folder.builds(), index + 2, "{input} is an input");
    }
    folder.write("ui/src/gone.ts", "1");
    folder.build();
    fs::remove_file(folder.path("ui/src/gone.ts")).unwrap();
    folder.build();
    assert_eq!(folder.builds(), INPUTS.len() + 3, "that a file is gone is a change");
}

#[test]
fn a_ui_of_other_sources_is_not_kept() {
    let folder = Folder::new();
    folder.build();
    assert!(folder.run(false).status.success() && folder.has_ui(), "without npm what is up to date is kept");
    folder.write("ui/src/main.ts", "2");
    let output = folder.run(false);
    assert!(output.status.success() && !folder.has_ui(), "without npm");
    assert!(String::from_utf8_lossy(&output.stderr).contains("npm is not installed"), "{output:?}");

    folder.build();
    folder.write("ui/src/main.ts", "3");
    folder.write("build-fails", "");
    assert_eq!(folder.run(true).status.code(), Some(3), "a build that fails is no success");
    assert!(!folder.has_ui(), "and what it left is not taken for one");
    fs::remove_file(folder.path("build-fails")).unwrap();

    folder.build();
    folder.write("ui/package-lock.json", "4");
    fs::remove_dir_all(folder.path("ui/node_modules")).unwrap();
    folder.write("ci-fails", "");
    assert!(folder.run(true).status.success() && !folder.has_ui(), "without its registry");
}
