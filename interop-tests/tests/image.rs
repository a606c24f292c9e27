//! The container image, unpacked from its archive, as a runtime would run it: as a user that the image does not know, of
//! group 0, without capabilities, on a file system that cannot be written but for `/tmp`, as the first process.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{Certificates, Log, Mark, Port, Skip, eventually, output_of, run, skip_unless};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A user that nobody has heard of.
const USER: &str = "1000650000";

/// Where controllers have their certificates and the configuration mounted.
const VOLUME: &str = "etc/skupper-router-certs";

/// Mounts the image read only with what a runtime adds, and starts its arguments in its working directory.
const CONTAINER: &str = r#"set -e
image=$1 root=$2 user=$3 volume=$4 volume_at=$5; shift 5
mount --bind "$image" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$volume" "$root/$volume_at"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/dev"
for device in null urandom; do touch "$root/dev/$device"; mount --bind /dev/$device "$root/dev/$device"; done
cd "$root"
exec setpriv --no-new-privs -- /usr/sbin/chroot --userspec="$user:0" --groups=0 "$root" "$@"
"#;

/// What is in the image, and how it is to be run.
struct Image {
    rootfs: PathBuf,
    config: Value,
    folder: TempDir,
}

/// A router in a container, and the folder that is mounted for its controller.
struct Container {
    unshare: Child,
    process: String,
    log: Arc<Log>,
}

impl Image {
    fn find() -> Result<Self> {
        // An image takes a release build: it is made for this test, or the test is left out.
        let unset = || Skip("IMAGE_ARCHIVE is not set: `make image-check` builds the image and does that".to_owned());
        let archive = std::env::var_os("IMAGE_ARCHIVE").map(PathBuf::from).ok_or_else(unset)?;
        let is_root = output_of(Command::new("id").arg("-u"), &[])? == b"0\n";
        skip_unless(is_root.then_some(()), "only root can do what a container runtime does")?;
        let folder = tempfile::tempdir()?;
        let (layout, rootfs) = (folder.path().join("layout"), folder.path().join("image"));
        unpack(&archive, &layout)?;
        let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
        let blob = |of: &Value| -> Result<PathBuf> {
            let digest = of["digest"].as_str().context("no digest")?;
            Ok(layout.join("blobs").join(digest.replace(':', "/")))
        };
        let manifest: Value = serde_json::from_slice(&fs::read(blob(&index["manifests"][0])?)?)?;
        for layer in manifest["layers"].as_array().context("no layers")? {
            unpack(&blob(layer)?, &rootfs)?;
        }
        // A runtime makes the places where something is mounted.
        fs::create_dir_all(rootfs.join(VOLUME))?;
        let config: Value = serde_json::from_slice(&fs::read(blob(&manifest["config"])?)?)?;
        Ok(Self { rootfs, config, folder })
    }

    /// A process as in a container, with this environment beside the image's own.
    fn command(&self, volume: &Path, environment: &[(&str, &str)], words: &[&str]) -> Result<Command> {
        let root = tempfile::tempdir_in(self.folder.path())?.keep();
        let script = self.folder.path().join("container");
        fs::File::create(&script)?.write_all(CONTAINER.as_bytes())?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh"]).arg(script);
        command.arg(&self.rootfs).arg(root).arg(USER).arg(volume).arg(VOLUME).args(words).env_clear();
        for variable in self.config["config"]["Env"].as_array().context("no environment")? {
            let (name, value) = variable.as_str().and_then(|text| text.split_once('=')).context("no variable")?;
            command.env(name, value);
        }
        command.envs(environment.iter().copied());
        Ok(command)
    }

    fn output(&self, words: &[&str]) -> Result<Output> {
        self.output_with(self.folder.path(), words)
    }

    fn output_with(&self, volume: &Path, words: &[&str]) -> Result<Output> {
        self.command(volume, &[], words)?.output().context("unshare")
    }

    /// Runs the image's own command.
    fn run(&self, name: &str, volume: &Path, environment: &[(&str, &str)]) -> Result<Container> {
        let words = self.config["config"]["Cmd"].as_array().context("no command")?;
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        let mut command = self.command(volume, environment, &words)?;
        let mut unshare = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let log = Log::new(name);
        log.follow_process(&mut unshare);
        let process = first_process(&unshare)?;
        Ok(Container { unshare, process, log })
    }
}

impl Container {
    fn stop(&mut self) -> Result<()> {
        output_of(Command::new("kill").args(["-TERM", &self.process]), &[])?;
        let ended = self.unshare.wait()?;
        ensure!(ended.success(), "{ended:?}");
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Best effort: the test's verdict is out by now.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

fn unpack(archive: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    output_of(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(into).arg("-p"), &[]).map(drop)
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
        let mut router = image.run("pod-1", image.folder.path(), &environment)?;
        let health = format!("http://127.0.0.1:{}/healthz", http.number());
        let probed =
            eventually("it is well", || output_of(Command::new("curl").args(["-sSf", "-m", "5", &health]), &[]));
        ensure!(probed? == b"OK\n");
        let process = &router.process;
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
        router.stop()
    });
}

/// Certificates of a site, each in the folder of its profile as controllers write them.
struct Site {
    volume: TempDir,
}

impl Site {
    fn make() -> Result<Self> {
        Ok(Self { volume: tempfile::tempdir()? })
    }

    fn configure(&self, config: &Value) -> Result<()> {
        // As for the user of the router, whoever that is.
        fs::set_permissions(self.volume.path(), fs::Permissions::from_mode(0o755))?;
        let file = self.volume.path().join("skrouterd.json");
        Ok(fs::write(file, serde_json::to_string_pretty(config)?)?)
    }

    /// In place, one after the other, the key last.
    fn bring(&self, profile: &str, from: &Certificates) -> Result<()> {
        let folder = self.volume.path().join(profile);
        fs::create_dir_all(&folder)?;
        for (name, file) in [("ca.crt", &from.ca), ("tls.crt", &from.certificate), ("tls.key", &from.key)] {
            fs::copy(file, folder.join(name))?;
        }
        let owner = format!("{USER}:0");
        output_of(Command::new("chown").args(["-R", &owner]).arg(&folder), &[]).map(drop)
    }
}

fn profile(name: &str) -> Value {
    let file = |file: &str| format!("/{VOLUME}/{name}/{file}");
    let files = (file("ca.crt"), file("tls.crt"), file("tls.key"));
    json!(["sslProfile", {"name": name, "caCertFile": files.0, "certFile": files.1, "privateKeyFile": files.2}])
}

#[test]
fn two_sites_whose_certificates_come_later() {
    run(|| {
        let image = Image::find()?;
        let files = tempfile::tempdir()?;
        let certificates = Certificates::make(files.path())?;
        let [west_amqp, east_amqp, between, amqps] = [(); 4].map(|()| Port::reserve());
        let (west_amqp, east_amqp, between, amqps) = (west_amqp?, east_amqp?, between?, amqps?);
        let number = |port: &Port| port.number();
        let (west, east) = (Site::make()?, Site::make()?);
        west.configure(&json!([
            ["router", {"id": "west-${HOSTNAME}", "mode": "interior", "helloMaxAgeSeconds": "3",
                "dataConnectionCount": "4", "metadata": "{\"id\":\"west-site\",\"version\":\"2.x\"}"}],
            profile("skupper-local-server"),
            profile("skupper-site-server"),
            ["listener", {"name": "amqp", "host": "localhost", "port": number(&west_amqp)}],
            ["listener", {"name": "amqps", "port": number(&amqps), "sslProfile": "skupper-local-server",
                "saslMechanisms": "EXTERNAL", "authenticatePeer": true}],
            ["listener", {"name": "skupper-router-inter-router", "role": "inter-router", "port": number(&between),
                "sslProfile": "skupper-site-server", "saslMechanisms": "EXTERNAL", "authenticatePeer": true}],
            ["log", {"module": "ROUTER_CORE", "enable": "error+"}]
        ]))?;
        east.configure(&json!([
            ["router", {"id": "east-${HOSTNAME}", "mode": "interior", "dataConnectionCount": "4"}],
            profile("link-west-profile"),
            ["connector", {"name": "link-west", "role": "inter-router", "host": "localhost",
                "port": number(&between).to_string(), "cost": 1, "sslProfile": "link-west-profile"}],
            ["listener", {"name": "amqp", "host": "localhost", "port": number(&east_amqp)}]
        ]))?;
        let environment = |pod: &'static str| {
            [
                ("QDROUTERD_CONF", "/etc/skupper-router-certs/skrouterd.json"),
                ("QDROUTERD_CONF_TYPE", "json"),
                ("HOSTNAME", pod),
            ]
        };
        let mut routers = [
            image.run("west", west.volume.path(), &environment("pod-1"))?,
            image.run("east", east.volume.path(), &environment("pod-2"))?,
        ];
        for (router, what) in
            routers.iter().zip(["listener skupper-router-inter-router waits", "connector link-west waits"])
        {
            router.log.wait_for(Mark::default(), what)?;
            router.log.wait_for(Mark::default(), "Operational, ")?;
        }
        east.bring("link-west-profile", &certificates)?;
        for profile in ["skupper-local-server", "skupper-site-server"] {
            west.bring(profile, &certificates)?;
        }
        for (site, amqp, other) in [(&west, &west_amqp, "east-pod-2"), (&east, &east_amqp, "west-pod-1")] {
            let bus = format!("127.0.0.1:{}", number(amqp));
            eventually(&format!("{other} is known"), || {
                let shown = image.output_with(site.volume.path(), &["/usr/bin/skstat", "-n", "-b", &bus])?;
                ensure!(text(&shown.stdout).contains(other), "{shown:?}");
                Ok(())
            })?;
        }
        // As debug dumps call it outside of Kubernetes.
        let file = |name: &str| format!("/{VOLUME}/skupper-local-server/{name}");
        let (bus, certificate, key, ca) =
            (format!("amqps://localhost:{}", number(&amqps)), file("tls.crt"), file("tls.key"), file("ca.crt"));
        let words = [
            "/bin/skstat",
            "-g",
            "-b",
            &bus,
            "--ssl-certificate",
            &certificate,
            "--ssl-key",
            &key,
            "--ssl-trustfile",
            &ca,
        ];
        let shown = image.output_with(west.volume.path(), &words)?;
        ensure!(shown.status.success() && text(&shown.stdout).contains("west-pod-1"), "{shown:?}");
        routers.iter_mut().try_for_each(Container::stop)
    });
}

#[test]
fn what_bootstrap_and_people_look_for() {
    run(|| {
        let image = Image::find()?;
        let config = &image.config["config"];
        ensure!(config["User"] == "10000" && config["WorkingDir"] == "/home/skrouterd/bin", "{config}");
        ensure!(
            config["Cmd"] == json!(["/home/skrouterd/bin/launch.sh"]) && config["Entrypoint"].is_null(),
            "{config}"
        );
        let ports: Vec<_> = config["ExposedPorts"].as_object().context("no ports")?.keys().cloned().collect();
        ensure!(ports == ["55672/tcp", "5671/tcp", "5672/tcp"], "{ports:?}");
        let version = image.output(&["/usr/sbin/skrouterd", "--version"])?;
        ensure!(version.status.success() && text(&version.stderr).is_empty(), "{version:?}");
        let told = format!("VERSION={}", text(&version.stdout).trim_end());
        let variables = config["Env"].as_array().context("no environment")?;
        ensure!(
            variables.contains(&json!(told)) && variables.contains(&json!("QDROUTERD_HOME=/home/skrouterd")),
            "{config}"
        );
        let by_name = image.output(&["/usr/bin/skrouterd", "-v"])?;
        ensure!(by_name.stdout == version.stdout, "{by_name:?}");
        for file in ["etc/skupper-router/skrouterd.conf", "licenses/LICENSE", "licenses/crates.txt"] {
            ensure!(image.rootfs.join(file).is_file(), "{file}");
        }
        let default = image.output(&["/usr/sbin/skrouterd", "--check"])?;
        ensure!(default.status.success(), "the default configuration: {default:?}");
        let bill = fs::read_to_string(image.rootfs.join("usr/share/skupper-router/sbom.cdx.json"))?;
        let bill: Value = serde_json::from_str(&bill)?;
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
