//! Output of any bytes that is the same each time, so that what was recorded of it can be compared.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use crate::os;

/// A stream of bytes by xorshift64*, which is no secret and repeats after the end of this universe.
struct Bytes(u64);

impl Bytes {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn fill(&mut self, chunk: &mut [u8]) {
        for word in chunk.chunks_mut(8) {
            word.copy_from_slice(&self.next().to_le_bytes()[..word.len()]);
        }
    }
}

pub(crate) fn run(mebibytes: u64, pause_ms: u64) -> ExitCode {
    let (mut out, mut err) = (Bytes(0x5EED), Bytes(0xE55E));
    let mut lengths = Bytes(0x1E46);
    let mut left = [mebibytes << 19; 2];
    let mut since_pause = 0;
    let mut chunk = vec![0; 200_000];
    while left != [0, 0] {
        let stream = usize::from(left[0] == 0 || (left[1] > 0 && lengths.next() % 2 == 1));
        // Most are short; some are longer than any buffer on the way.
        let limit = [10, 1_000, 70_000, 200_000][usize::try_from(lengths.next() >> 62).unwrap_or(0)];
        let length = (1 + lengths.next() % limit).min(left[stream]);
        let Some(bytes) = chunk.get_mut(..usize::try_from(length).unwrap_or(0)) else { break };
        let written = if stream == 0 {
            out.fill(bytes);
            std::io::stdout().lock().write_all(bytes).and_then(|()| std::io::stdout().lock().flush())
        } else {
            err.fill(bytes);
            std::io::stderr().lock().write_all(bytes)
        };
        if let Err(error) = written {
            os::fail("write", error);
        }
        left[stream] -= length;
        since_pause += length;
        if pause_ms > 0 && since_pause >= 1 << 20 {
            since_pause = 0;
            std::thread::sleep(Duration::from_millis(pause_ms));
        }
    }
    ExitCode::SUCCESS
}
