//! Bounds.

use super::{Malformed, Reader, Writer};
use crate::proto::{Applied, Bound, HeldBy, Resource};

pub(crate) fn write_bound(writer: &mut Writer<'_>, bound: &Bound) {
    let index = Resource::ALL.iter().position(|it| *it == bound.resource).unwrap_or(Resource::ALL.len());
    writer.u8(u8::try_from(index + 1).unwrap_or(u8::MAX));
    writer.bool(bound.value.is_some());
    bound.value.into_iter().for_each(|value| writer.u64(value));
}

pub(crate) fn read_bound(reader: &mut Reader<'_>) -> Result<Bound, Malformed> {
    let number = reader.u8()?;
    let index = usize::from(number).checked_sub(1);
    let resource = index.and_then(|index| Resource::ALL.get(index)).copied();
    let resource = resource.ok_or(Malformed::Unknown("resource", number))?;
    Ok(Bound { resource, value: reader.option(Reader::u64)? })
}

pub(super) fn write_applied<'a>(writer: &mut Writer<'a>, applied: &'a Applied) {
    write_bound(writer, &applied.bound);
    match &applied.by {
        HeldBy::Cgroup => writer.u8(1),
        HeldBy::CgroupV1 => writer.u8(2),
        HeldBy::Nobody { why } => {
            writer.u8(3);
            writer.bytes(why.as_bytes());
        }
    }
}

pub(super) fn read_applied(reader: &mut Reader<'_>) -> Result<Applied, Malformed> {
    let bound = read_bound(reader)?;
    let by = match reader.u8()? {
        1 => HeldBy::Cgroup,
        2 => HeldBy::CgroupV1,
        3 => HeldBy::Nobody { why: reader.text()? },
        other => return Err(Malformed::Unknown("holder of a bound", other)),
    };
    Ok(Applied { bound, by })
}
