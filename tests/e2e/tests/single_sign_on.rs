//! Single sign-on as README.md tells it: nginx to the letter, with a stand-in for oauth2-proxy.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use staticreg_e2e::{
    Staticreg,
    client::{Answer, Connection},
    eventually,
};
use staticreg_test_support::ports::free_port;
use tempfile::TempDir;

const README: &str = include_str!("../../../README.md");

/// How long what comes by itself may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

/// Where the README says that they are.
const OAUTH2_PROXY: &str = "127.0.0.1:4180";
const STATICREG: &str = "127.0.0.1:8093";
const LISTEN: &str = "listen 443 ssl;";

/// What the stand-in gives to whoever has signed in.
const SESSION: (&str, &str) = ("cookie", "_oauth2_proxy=alices");

/// What the stand-in shows to all others.
const SIGN_IN: &str = "Sign in with your company's account";

/// A stand-in for oauth2-proxy: who has the session is told to be Alice, others are not.
fn oauth2_proxy() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for connection in listener.incoming() {
            answer(&connection.expect("a connection"));
        }
    });
    address
}

fn answer(mut connection: &TcpStream) {
    let head: Vec<_> =
        BufReader::new(connection).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let is_alice = head.iter().any(|line| line.to_ascii_lowercase() == format!("{}: {}", SESSION.0, SESSION.1));
    let (status, header, body) = match path {
        "/oauth2/auth" if is_alice => ("202 Accepted", "X-Auth-Request-User: alice\r\n", ""),
        "/oauth2/auth" => ("401 Unauthorized", "", ""),
        _ => ("200 OK", "", SIGN_IN),
    };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    // Who asked may be gone.
    let _ = connection.write_all(answer.as_bytes());
}

/// nginx with the README's server, stopped when dropped.
struct Nginx {
    process: Child,
    folder: TempDir,
    address: SocketAddr,
}

impl Nginx {
    fn start(server: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = folder.path().join("nginx.conf");
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|of| format!("{of}_temp_path {of};\n")).concat();
        let server = server.replace(LISTEN, &format!("listen {address};"));
        let configuration = format!(
            "daemon off;\nmaster_process off;\npid pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
             {temporary}{server}\n}}\n"
        );
        fs::write(&file, configuration).expect("its settings");
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "/usr/sbin/nginx", "-e", "stderr", "-p"])
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).expect("its log"))
            .spawn()
            .expect("setpriv runs: it comes with every Linux");
        let mut nginx = Self { process, folder, address };
        eventually("nginx listens", LIMIT, || {
            let ended = nginx.process.try_wait().expect("its state");
            let log = || fs::read_to_string(nginx.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none(), "nginx has ended ({ended:?}); `make test-tools` installs it:\n{}", log());
            TcpStream::connect(nginx.address).ok()
        });
        nginx
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut connection = Connection::open(self.address).expect("a connection");
        connection.request("GET", path, headers, b"").expect("an answer")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to stop.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A block of the README in some language, which holds a word.
fn block(language: &str, word: &str) -> &'static str {
    let begin = format!("```{language}\n");
    let mut blocks = README.split(&*begin).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    blocks.find(|block| block.contains(word)).unwrap_or_else(|| panic!("no {language} with {word}"))
}

#[test]
fn who_signed_in_at_the_proxy_of_the_readme_may_read_and_nobody_else() {
    let settings: Vec<_> = block("ini", "STATICREG_ACCESS_PROXY_HEADER")
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter_map(|line| line.split_once('='))
        .collect();
    let staticreg = Staticreg::start(&settings);
    let recipe = block("nginx", "auth_request");
    assert!([LISTEN, OAUTH2_PROXY, STATICREG].iter().all(|part| recipe.contains(part)), "{recipe}");
    let server =
        recipe.replace(OAUTH2_PROXY, &oauth2_proxy().to_string()).replace(STATICREG, &staticreg.address().to_string());
    let nginx = Nginx::start(&server);

    for path in ["/", "/insights", "/api/v1/summary", "/docs", "/openapi.json"] {
        assert_eq!(nginx.get(path, &[SESSION]).status, 200, "{path}");
        // What clients make up themselves says nothing, whatever they also show.
        for headers in [&[][..], &[("remote-user", "alice")], &[("x-auth-request-user", "alice")]] {
            let answer = nginx.get(path, headers);
            assert_eq!(answer.body, SIGN_IN, "{path} {headers:?}: {answer:?}");
        }
        assert_eq!(staticreg.get(path).status, 403, "{path}: past the proxy, with no name");
    }
    // What it makes up beside a session changes nothing.
    let two = nginx.get("/api/v1/summary", &[SESSION, ("remote-user", "mallory"), ("authorization", "Basic eDp5")]);
    assert_eq!(two.status, 200, "{two:?}");
    assert_eq!(staticreg.get("/healthz").status, 200);
}
