//! Postfix and Samba, set up in a folder of their own so that they neither read nor touch what the machine has of them.
//!
//! Takes:  an empty folder, the host to run in, and the settings that a test is about
//! Gives:  a running server
//! Never:  runs where it would need the network or the machine's own configuration

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;

use super::netns::{Host, Running, command};

/// Postfix's daemons, none of them confined to a folder of its own.
const MASTER: &str = "\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
discard unix - - n - - discard
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
";

/// Starts Postfix: it takes mail for `example.com` and throws it away. `services` are the lines of `master.cf` that listen.
pub fn postfix(
    host: &Host,
    folder: &Path,
    services: &str,
    settings: &str,
) -> Result<Running, String> {
    let at = |name: &str| folder.join(name);
    let make = |name: &str| fs::create_dir(at(name)).map_err(|error| error.to_string());
    for name in ["conf", "queue", "data"] {
        make(name)?;
    }
    // Its daemons are another user, and have to reach what is theirs.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
    host.run(command(
        "chown",
        &["postfix", &at("data").to_string_lossy()],
    ))?;
    let place = folder.display();
    let main = format!(
        "compatibility_level = 3.6\n\
         queue_directory = {place}/queue\n\
         data_directory = {place}/data\n\
         maillog_file = {place}/log\n\
         maillog_file_prefixes = {place}\n\
         myhostname = mail.example.com\n\
         mydestination =\n\
         local_recipient_maps =\n\
         relay_domains = example.com\n\
         relay_transport = discard\n\
         default_transport = discard\n\
         mynetworks =\n\
         inet_protocols = ipv4\n\
         smtpd_peername_lookup = no\n\
         smtpd_relay_restrictions = permit_auth_destination, reject\n\
         {settings}\n"
    );
    let write = |name: &str, text: &str| fs::write(at(name), text).map_err(|e| e.to_string());
    write("conf/main.cf", &main)?;
    write("conf/master.cf", &format!("{services}\n{MASTER}"))?;
    let conf = at("conf");
    let postfix = |order| command("postfix", &["-c", &conf.to_string_lossy(), order]);
    host.run(postfix("check"))?;
    let running = host.spawn(postfix("start-fg"))?;
    host.wait_for_port(25)
        .map_err(|error| match fs::read_to_string(at("log")) {
            Ok(log) => format!("{error}: {log}"),
            Err(_) => error,
        })?;
    Ok(running)
}

/// Name and password of the share's only user.
pub const USER: &str = "root%kept-nowhere";

/// Starts Samba with one share, `files`, that lies in `folder`.
pub fn samba(host: &Host, folder: &Path, settings: &str) -> Result<Running, String> {
    for name in ["files", "state"] {
        let path = folder.join(name);
        let made = fs::DirBuilder::new().mode(0o755).create(path);
        made.map_err(|error| error.to_string())?;
    }
    let place = folder.display();
    let conf = format!(
        "[global]\n\
         server role = standalone server\n\
         netbios name = FILES\n\
         workgroup = LAB\n\
         private dir = {place}/state\n\
         lock directory = {place}/state\n\
         state directory = {place}/state\n\
         cache directory = {place}/state\n\
         ncalrpc dir = {place}/state/rpc\n\
         pid directory = {place}/state\n\
         log file = {place}/state/log\n\
         passdb backend = tdbsam:{place}/state/passdb.tdb\n\
         server min protocol = NT1\n\
         disable spoolss = yes\n\
         load printers = no\n\
         {settings}\n\
         [files]\n\
         path = {place}/files\n\
         read only = no\n"
    );
    let file = folder.join("smb.conf");
    fs::write(&file, conf).map_err(|error| error.to_string())?;
    let file = file.to_string_lossy();
    let (user, password) = USER.split_once('%').unwrap();
    let mut add = command("smbpasswd", &["-c", &file, "-s", "-a", user]);
    add.stdin(Stdio::piped());
    let mut add = add.spawn().map_err(|error| format!("smbpasswd: {error}"))?;
    let mut stdin = add.stdin.take().ok_or("smbpasswd reads nothing")?;
    let twice = format!("{password}\n{password}\n");
    let told = stdin.write_all(twice.as_bytes());
    drop(stdin);
    let status = add.wait().map_err(|error| error.to_string())?;
    if told.is_err() || !status.success() {
        return Err(format!("smbpasswd: {status}"));
    }
    let running = host.spawn(command("smbd", &["-F", "--no-process-group", "-s", &file]))?;
    host.wait_for_port(445)?;
    Ok(running)
}
