//! `kennel dashboard` and `kennel token`.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use kennel_wire::{TokenRequest, WebRequest, WebTls};

use crate::args::{CreateToken, Dashboard, TokenCommand};
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::parse::millis;
use crate::render::tokens::table;

pub(super) async fn dashboard(context: &mut Context, args: Dashboard) -> Result<u8, Failure> {
    let daemon = if args.close { context.running().await? } else { context.ensure().await? };
    if args.close {
        let was = daemon.web().await?;
        daemon.close_web().await?;
        if context.global.json {
            context.screen.json(&daemon.web().await?)?;
        } else {
            context.screen.remark(if was.url.is_some() { "closed\n" } else { "it was not open\n" });
        }
        return Ok(exit_codes::OK);
    }
    let absolute = |path: PathBuf| context.directory.join(path);
    let tls = (args.tls || args.tls_cert.is_some())
        .then(|| WebTls { certificate: args.tls_cert.map(absolute), key: args.tls_key.map(absolute) });
    let report = daemon.open_web(&WebRequest { listen: args.listen, hosts: args.host, tls }).await?;
    if context.global.json {
        context.screen.json(&report)?;
        return Ok(exit_codes::OK);
    }
    context.screen.out(&format!("{}\n", report.login_url))?;
    context.screen.remark("the link is good once, and for five minutes\n");
    if let Some(fingerprint) = &report.fingerprint {
        let text = "no browser knows the certificate, which kennel has made; its SHA-256 fingerprint is";
        context.screen.remark(&format!("{text}\n{fingerprint}\n"));
    }
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if !args.no_open && has_display && context.screen.is_live() {
        #[expect(clippy::disallowed_methods, reason = "no child: this command becomes what opens the browser")]
        let error = std::process::Command::new("xdg-open").arg(&report.login_url).exec();
        context.screen.remark(&format!("no browser was opened: {error}\n"));
    }
    Ok(exit_codes::OK)
}

pub(super) async fn token(context: &mut Context, command: TokenCommand) -> Result<u8, Failure> {
    let daemon = context.ensure().await?;
    match command {
        TokenCommand::Create(CreateToken { name, role, service, owner, expires }) => {
            let expires_in_ms = expires.map(millis);
            let request = TokenRequest { name, role, services: service, owners: owner, expires_in_ms };
            let report = daemon.create_token(&request).await?;
            if context.global.json {
                context.screen.json(&report)?;
            } else {
                context.screen.out(&format!("{}\n", report.secret))?;
                context.screen.remark("it is not shown again; send it as `authorization: Bearer …`\n");
            }
        }
        TokenCommand::List => {
            let tokens = daemon.tokens().await?;
            if context.global.json {
                context.screen.json(&tokens)?;
            } else if tokens.is_empty() {
                context.screen.remark("no token was given away\n");
            } else {
                let text = table(&tokens, context.screen.width(), context.screen.paint);
                context.screen.out(&text)?;
            }
        }
        TokenCommand::Revoke { name } => {
            daemon.revoke_token(&name).await?;
            context.screen.remark(&format!("{name} is good for nothing any more\n"));
        }
    }
    Ok(exit_codes::OK)
}
