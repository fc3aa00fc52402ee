//! A place in the table of a keeper that replaces its program.

use std::fs::File;
use std::os::fd::AsFd;

use super::{Node, Place};
use crate::codec::{Malformed, Reader, Writer};
use crate::saved::{read_path, write_path};

impl Place {
    pub(crate) fn save<'a>(&'a self, writer: &mut Writer<'a>) {
        write_node(writer, &self.root);
        writer.list(&self.others, |writer, (root, lock)| {
            write_node(writer, root);
            writer.fds.push(lock.as_fd());
        });
        write_path(writer, &self.own);
        write_path(writer, &self.home);
        writer.fds.push(self.lock.as_fd());
    }

    pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let is_flat = reader.version < 6;
        let root = if is_flat {
            // Without its own path; then `svc` and `keep`, which were in it.
            let directory = read_path(reader)?;
            let [scopes, _kept] = [read_node(reader)?, read_node(reader)?];
            Node { directory, ..above(&scopes).ok_or(Malformed::Text)? }
        } else {
            read_node(reader)?
        };
        Ok(Self {
            root,
            others: reader.list(|reader| {
                let node = read_node(reader)?;
                let other = if is_flat { above(&node).ok_or(Malformed::Text)? } else { node };
                Ok((other, File::from(reader.fd()?)))
            })?,
            own: read_path(reader)?,
            home: read_path(reader)?,
            // It was looked for when that keeper began.
            follows_a_loss: false,
            lock: File::from(reader.fd()?),
        })
    }
}

fn above(node: &Node) -> Option<Node> {
    Some(Node { directory: node.directory.parent()?.to_owned(), path: node.path.parent()?.to_owned() })
}

fn write_node(writer: &mut Writer<'_>, node: &Node) {
    write_path(writer, &node.directory);
    write_path(writer, &node.path);
}

fn read_node(reader: &mut Reader<'_>) -> Result<Node, Malformed> {
    Ok(Node { directory: read_path(reader)?, path: read_path(reader)? })
}
