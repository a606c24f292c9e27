//! The files of the container image as a runtime would run them: as a user that the image does not know, of group 0, without
//! capabilities, on a file system that cannot be written but for `/tmp`, as the first process.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{Port, Skip, eventually, output_of, run, skip_unless};
use tempfile::TempDir;

/// A user that nobody has heard of.
const USER: &str = "1000650000";

/// Mounts the image read only with what a runtime adds, and starts its arguments in it.
const CONTAINER: &str = r#"set -e
image=$1 root=$2 user=$3; shift 3
mount --bind "$image" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/dev"
for device in null urandom; do touch "$root/dev/$device"; mount --bind /dev/$device "$root/dev/$device"; done
cd "$root"
exec setpriv --no-new-privs -- /usr/sbin/chroot --userspec="$user:0" --groups=0 "$root" "$@"
"#;

/// What is in the image.
struct Image {
    rootfs: PathBuf,
    folder: TempDir,
}

impl Image {
    fn find() -> Result<Self> {
        // An image takes a release build: it is made for this test, or the test is left out.
        let unset = || Skip("IMAGE_ROOTFS is not set: `make image-check` builds the image and does that".to_owned());
        let rootfs = std::env::var_os("IMAGE_ROOTFS").map(PathBuf::from).ok_or_else(unset)?;
        let is_root = output_of(Command::new("id").arg("-u"), &[])? == b"0\n";
        skip_unless(is_root.then_some(()), "only root can do what a container runtime does")?;
        Ok(Self { rootfs, folder: tempfile::tempdir()? })
    }

    /// A process as in a container, with this environment.
    fn command(&self, environment: &[(&str, &str)], words: &[&str]) -> Result<Command> {
        let root = self.folder.path().join("root");
        fs::create_dir_all(&root)?;
        let script = self.folder.path().join("container");
        fs::File::create(&script)?.write_all(CONTAINER.as_bytes())?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh"]).arg(script);
        command.arg(&self.rootfs).arg(root).arg(USER).args(words);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("QDROUTERD_HOME", "/home/skrouterd");
        command.envs(environment.iter().copied());
        Ok(command)
    }

    fn output(&self, words: &[&str]) -> Result<Output> {
        self.command(&[], words)?.output().context("unshare")
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// The process in the container, which the shell has become.
fn first_process(unshare: &Child) -> Result<String> {
    eventually("the container has a process", || {
        let id = unshare.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let child = children.split_whitespace().next().context("no child")?.to_owned();
        let words = fs::read(format!("/proc/{child}/cmdline"))?;
        ensure!(words.starts_with(b"skrouterd\0"), "it is {}", text(&words));
        Ok(child)
    })
}

#[test]
fn a_router_in_a_container() {
    run(|| {
        let image = Image::find()?;
        let (amqp, http) = (Port::reserve()?, Port::reserve()?);
        let config = format!(
            r#"[["router", {{"id": "site-${{HOSTNAME}}", "mode": "interior"}}],
            ["listener", {{"host": "127.0.0.1", "port": {}}}],
            ["listener", {{"host": "127.0.0.1", "port": {}, "http": true, "httpRootDir": "disabled"}}]]"#,
            amqp.number(),
            http.number()
        );
        let environment = [("QDROUTERD_CONF", config.as_str()), ("QDROUTERD_CONF_TYPE", "json"), ("HOSTNAME", "pod-1")];
        let mut container = image.command(&environment, &["/home/skrouterd/bin/launch.sh"])?;
        let mut router = container.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let health = format!("http://127.0.0.1:{}/healthz", http.number());
        let probed =
            eventually("it is well", || output_of(Command::new("curl").args(["-sSf", "-m", "5", &health]), &[]));
        ensure!(probed? == b"OK\n");
        let process = first_process(&router)?;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        ensure!(line("Uid:").split_whitespace().skip(1).all(|id| id == USER), "{status}");
        ensure!(line("CapEff:").ends_with("0000000000000000"), "{status}");
        ensure!(line("NSpid:").ends_with("\t1"), "it is the first process: {status}");
        let bus = format!("127.0.0.1:{}", amqp.number());
        // As debug dumps call it, by either path.
        for tool in ["/bin/skstat", "/usr/bin/skstat"] {
            let shown = image.output(&[tool, "-g", "-b", &bus])?;
            ensure!(shown.status.success() && text(&shown.stdout).contains("site-pod-1"), "{shown:?}");
        }
        let managed = image.output(&["/usr/bin/skmanage", "-b", &bus, "query", "--type", "listener"])?;
        ensure!(managed.status.success(), "{managed:?}");
        output_of(Command::new("kill").args(["-TERM", &process]), &[])?;
        let ended = router.wait()?;
        ensure!(ended.success(), "{ended:?}");
        Ok(())
    });
}

#[test]
fn what_bootstrap_and_people_look_for() {
    run(|| {
        let image = Image::find()?;
        let version = image.output(&["/usr/sbin/skrouterd", "--version"])?;
        ensure!(version.status.success() && text(&version.stderr).is_empty(), "{version:?}");
        let by_name = image.output(&["/usr/bin/skrouterd", "-v"])?;
        ensure!(by_name.stdout == version.stdout, "{by_name:?}");
        for file in ["etc/skupper-router/skrouterd.conf", "licenses/LICENSE", "licenses/crates.txt"] {
            ensure!(image.rootfs.join(file).is_file(), "{file}");
        }
        let default = image.output(&["/usr/sbin/skrouterd", "--check"])?;
        ensure!(default.status.success(), "the default configuration: {default:?}");
        let bill = fs::read_to_string(image.rootfs.join("usr/share/skupper-router/sbom.cdx.json"))?;
        let bill: serde_json::Value = serde_json::from_str(&bill)?;
        let components = bill["components"].as_array().context("no components")?;
        let has = |name: &str| components.iter().any(|component| component["name"] == name);
        ensure!(has("tokio") && has("rustls") && has("libc6") && !has("criterion"));
        ensure!(octets_below(&image.rootfs)? < 40_000_000, "it is too large");
        Ok(())
    });
}

fn octets_below(folder: &Path) -> Result<u64> {
    let mut octets = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        octets += if found.is_dir() { octets_below(&entry.path())? } else { found.len() };
    }
    Ok(octets)
}
