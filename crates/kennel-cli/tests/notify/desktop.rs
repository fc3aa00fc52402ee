//! A desktop: a bus, and who shows notifications on it.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use kennel_testkit::{Background, Scratch, Signal, wait_until};
use tokio::sync::oneshot;
use zbus::Address;
use zbus::address::Transport;
use zbus::address::transport::{Unix, UnixSocket};
use zbus::zvariant::OwnedValue;

use crate::DEADLINE;

/// Nobody but whoever the test starts is on it, and nobody else can be started.
const BUS: &str = "<!DOCTYPE busconfig PUBLIC '-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN' 'http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd'>
<busconfig>
  <type>session</type>
  <listen>unix:path=@path@</listen>
  <auth>EXTERNAL</auth>
  <policy context='default'>
    <allow send_destination='*' eavesdrop='true'/>
    <allow eavesdrop='true'/>
    <allow own='*'/>
  </policy>
</busconfig>";

/// A notification as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) title: String,
    pub(crate) body: String,
}

/// A bus. It ends with this.
pub(crate) struct Bus {
    daemon: Background,
}

impl Bus {
    /// With its socket at this path.
    pub(crate) fn at(scratch: &Scratch, path: &Path) -> Self {
        let config = scratch.file("bus.conf", BUS.replace("@path@", &path.display().to_string().replace(' ', "%20")));
        let arguments = ["--nofork", "--nopidfile", "--config-file", config.to_str().unwrap()];
        let daemon = scratch.spawn_program(Path::new("dbus-daemon"), &arguments, Stdio::null(), |_| {});
        wait_until(DEADLINE, "a bus", || UnixStream::connect(path).is_ok());
        Self { daemon }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.daemon.signal(Signal::KILL);
        self.daemon.wait(DEADLINE);
    }
}

/// Who shows notifications.
pub(crate) struct Desktop {
    shown: Arc<Mutex<Vec<Shown>>>,
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

struct Notifications {
    shown: Arc<Mutex<Vec<Shown>>>,
    capabilities: Vec<String>,
}

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Notifications {
    fn get_capabilities(&self) -> Vec<String> {
        self.capabilities.clone()
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        ("shelf".to_owned(), "test".to_owned(), "7.1".to_owned(), "1.2".to_owned())
    }

    #[allow(clippy::too_many_arguments, reason = "as the specification has it")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        _icon: &str,
        summary: &str,
        body: &str,
        actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _expires: i32,
    ) -> u32 {
        assert_eq!((app_name, replaces_id, actions.len()), ("kennel", 0, 0));
        let mut shown = self.shown.lock().unwrap();
        shown.push(Shown { title: summary.to_owned(), body: body.to_owned() });
        u32::try_from(shown.len()).unwrap()
    }
}

impl Desktop {
    /// On the bus at this path, with what it can do.
    pub(crate) fn on(path: &Path, capabilities: &[&str]) -> Self {
        let shown: Arc<Mutex<Vec<Shown>>> = Arc::default();
        let capabilities = capabilities.iter().map(|&one| one.to_owned()).collect();
        let notifications = Notifications { shown: Arc::clone(&shown), capabilities };
        let address = Address::new(Transport::Unix(Unix::new(UnixSocket::File(path.to_owned()))));
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let builder = zbus::connection::Builder::address(address).unwrap();
                let builder = builder.name("org.freedesktop.Notifications").unwrap();
                let serving = builder.serve_at("/org/freedesktop/Notifications", notifications).unwrap();
                let _connection = serving.build().await.unwrap();
                ready.send(()).unwrap();
                let _dropped = stopped.await;
            });
        });
        is_ready.recv().unwrap();
        Self { shown, thread: Some((stop, thread)) }
    }

    pub(crate) fn shown(&self) -> Vec<Shown> {
        self.shown.lock().unwrap().clone()
    }

    /// Waits for so many, and gives them.
    pub(crate) fn wait(&self, count: usize) -> Vec<Shown> {
        wait_until(DEADLINE, &format!("{count} notifications"), || self.shown().len() >= count);
        self.shown()
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }
}
