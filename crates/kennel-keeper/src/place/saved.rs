//! A place in the table of a keeper that replaces its program.

use std::fs::File;
use std::os::fd::AsFd;

use super::{Parent, Place};
use crate::codec::{Malformed, Reader, Writer};
use crate::saved::{read_path, write_path};

impl Place {
    pub(crate) fn save<'a>(&'a self, writer: &mut Writer<'a>) {
        write_path(writer, &self.root);
        write_parent(writer, &self.scopes);
        write_parent(writer, &self.kept);
        writer.list(&self.others, |writer, (parent, lock)| {
            write_parent(writer, parent);
            writer.fds.push(lock.as_fd());
        });
        write_path(writer, &self.own);
        write_path(writer, &self.home);
        writer.fds.push(self.lock.as_fd());
    }

    pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            root: read_path(reader)?,
            scopes: read_parent(reader)?,
            kept: read_parent(reader)?,
            others: reader.list(|reader| Ok((read_parent(reader)?, File::from(reader.fd()?))))?,
            own: read_path(reader)?,
            home: read_path(reader)?,
            lock: File::from(reader.fd()?),
        })
    }
}

fn write_parent(writer: &mut Writer<'_>, parent: &Parent) {
    write_path(writer, &parent.directory);
    write_path(writer, &parent.path);
}

fn read_parent(reader: &mut Reader<'_>) -> Result<Parent, Malformed> {
    Ok(Parent { directory: read_path(reader)?, path: read_path(reader)? })
}
