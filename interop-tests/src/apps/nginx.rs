//! nginx.

use std::fs;
use std::process::Command;

use anyhow::Result;

use super::{Server, Site, require, text};
use crate::harness::Port;

/// The folder of what is served, and of what clients have put there.
pub const PAGES: &str = "pages";

/// Starts a server of the files in [`PAGES`]: it takes new ones and deletes any. Below `/squeezed/` it compresses them,
/// so that it does not know their lengths; `/nothing` it answers with 204. With TLS it offers HTTP/2.
pub fn serve(port: Port, site: Site<'_>) -> Result<Server> {
    start(port, site, if site.tls.is_some() { "ssl http2" } else { "" })
}

/// The same for clients that know that it speaks HTTP/2, without TLS.
pub fn serve_http2(port: Port, site: Site<'_>) -> Result<Server> {
    start(port, site, "http2")
}

fn start(port: Port, site: Site<'_>, protocol: &str) -> Result<Server> {
    let program = require("nginx")?;
    let folder = site.folder;
    fs::create_dir_all(folder.join(PAGES))?;
    let file = folder.join("nginx.conf");
    fs::write(&file, config(&port, site, protocol))?;
    Server::start(port, folder, Command::new(program).arg("-e").arg(folder.join("nginx.err")).arg("-c").arg(file))
}

fn config(port: &Port, site: Site<'_>, protocol: &str) -> String {
    let tls = site.tls.map(|files| {
        format!("ssl_certificate {}; ssl_certificate_key {};", text(&files.certificate), text(&files.key))
    });
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
         events {{ }}
         http {{
             access_log off; client_max_body_size 0; keepalive_requests 100000; gzip_min_length 1;
             gzip_types *; gzip_http_version 1.0;
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
             server {{
                 listen 127.0.0.1:{port} {protocol}; {tls} root {folder}/{PAGES};
                 location / {{ dav_methods PUT DELETE; }}
                 location /squeezed/ {{ alias {folder}/{PAGES}/; gzip on; }}
                 location = /nothing {{ return 204; }}
             }}
         }}",
        folder = text(site.folder),
        port = port.number(),
        tls = tls.unwrap_or_default(),
    )
}
