//! Encryption by a password, in the old forms that keys are still stored in. Only decryption: nothing here is
//! fit for new files.

use aws_lc_rs::digest;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipher, BlockDecryptMut, KeyInit, KeyIvInit};
use md5::{Digest, Md5};

/// A block cipher, in chaining mode and with padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cipher {
    Aes128,
    Aes192,
    Aes256,
    Des,
    /// With two keys, the first used twice.
    TripleDes2,
    TripleDes3,
}

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Md5,
    Sha1,
}

// === impl Cipher ===

impl Cipher {
    /// Octets of the key.
    pub(super) const fn key_len(self) -> usize {
        match self {
            Self::Des => 8,
            Self::Aes128 | Self::TripleDes2 => 16,
            Self::Aes192 | Self::TripleDes3 => 24,
            Self::Aes256 => 32,
        }
    }

    /// Octets of the initialization vector.
    pub(super) const fn iv_len(self) -> usize {
        match self {
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
            Self::Des | Self::TripleDes2 | Self::TripleDes3 => 8,
        }
    }

    /// The cleartext; `None` when lengths or padding are wrong, as after a wrong key.
    pub(super) fn decrypt(self, key: &[u8], iv: &[u8], data: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Aes128 => decrypt::<aes::Aes128>(key, iv, data),
            Self::Aes192 => decrypt::<aes::Aes192>(key, iv, data),
            Self::Aes256 => decrypt::<aes::Aes256>(key, iv, data),
            Self::Des => decrypt::<des::Des>(key, iv, data),
            Self::TripleDes2 => decrypt::<des::TdesEde2>(key, iv, data),
            Self::TripleDes3 => decrypt::<des::TdesEde3>(key, iv, data),
        }
    }
}

fn decrypt<C: BlockCipher + BlockDecryptMut + KeyInit>(key: &[u8], iv: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    cbc::Decryptor::<C>::new_from_slices(key, iv).ok()?.decrypt_padded_vec_mut::<Pkcs7>(data).ok()
}

// === impl Hash ===

impl Hash {
    /// Octets of a block of the function.
    const BLOCK: usize = 64;

    fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Md5 => {
                let mut context = Md5::new();
                parts.iter().for_each(|part| context.update(part));
                context.finalize().to_vec()
            }
            Self::Sha1 => {
                let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
                parts.iter().for_each(|part| context.update(part));
                context.finish().as_ref().to_vec()
            }
        }
    }

    fn repeated(self, parts: &[&[u8]], iterations: u32) -> Vec<u8> {
        let mut value = self.of(parts);
        for _ in 1..iterations {
            value = self.of(&[&value]);
        }
        value
    }
}

/// The key of OpenSSL's traditional form: digests that each begin with the one before.
pub(super) fn traditional_key(password: &[u8], salt: &[u8], len: usize) -> Vec<u8> {
    let mut key = Vec::new();
    let mut last = Vec::new();
    while key.len() < len {
        last = Hash::Md5.of(&[&last, password, salt]);
        key.extend_from_slice(&last);
    }
    key.truncate(len);
    key
}

/// Key material by PBKDF1 (RFC 8018 5.1): as much as one digest has.
pub(super) fn pbkdf1(hash: Hash, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
    hash.repeated(&[password, salt], iterations)
}

/// What key material of PKCS#12 is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Key = 1,
    Iv = 2,
}

/// Key material by RFC 7292 B.2, with SHA-1.
pub(super) fn pkcs12(password: &str, salt: &[u8], iterations: u32, purpose: Use, len: usize) -> Vec<u8> {
    let password: Vec<u8> = password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect();
    let diversifier = [purpose as u8; Hash::BLOCK];
    let mut input = [filled(salt), filled(&password)].concat();
    let mut out = Vec::new();
    while out.len() < len {
        let digest = Hash::Sha1.repeated(&[&diversifier, &input], iterations);
        let addend: Vec<u8> = digest.iter().copied().cycle().take(Hash::BLOCK).collect();
        input.chunks_mut(Hash::BLOCK).for_each(|block| add_with_one(block, &addend));
        out.extend_from_slice(&digest);
    }
    out.truncate(len);
    out
}

/// Repeated until whole blocks are full.
fn filled(text: &[u8]) -> Vec<u8> {
    text.iter().copied().cycle().take(text.len().div_ceil(Hash::BLOCK) * Hash::BLOCK).collect()
}

/// Adds another number of the same length, and one, to a number; what does not fit is lost.
fn add_with_one(number: &mut [u8], addend: &[u8]) {
    let mut carry = 1;
    for (digit, add) in number.iter_mut().zip(addend).rev() {
        let sum = u16::from(*digit) + u16::from(*add) + carry;
        *digit = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("digits")).collect()
    }

    #[test]
    fn pkcs12_vectors() {
        // From the test suites of several libraries, the one for "smeg" and the one for "queeg".
        let salt = hex("0A58CF64530D823F");
        let key = hex("8AAAE6297B6CB04642AB5B077851284EB7128F1A2A7FBCA3");
        assert_eq!(pkcs12("smeg", &salt, 1, Use::Key, 24), key);
        assert_eq!(pkcs12("smeg", &salt, 1, Use::Iv, 8), hex("79993DFE048D3B76"));
        let salt = hex("05DEC959ACFF72F7");
        let key = hex("ED2034E36328830FF09DF1E1A07DD357185DAC0D4F9EB3D4");
        assert_eq!(pkcs12("queeg", &salt, 1000, Use::Key, 24), key);
        assert_eq!(pkcs12("queeg", &salt, 1000, Use::Iv, 8), hex("11DEDAD7758D4860"));
    }

    #[test]
    fn carries_run_through_and_are_lost() {
        let mut number = [0xff, 0xff];
        add_with_one(&mut number, &[0, 0]);
        assert_eq!(number, [0, 0]);
        let mut number = [0x00, 0xff];
        add_with_one(&mut number, &[0x01, 0x01]);
        assert_eq!(number, [0x02, 0x01]);
    }

    #[test]
    fn damaged_input_gives_nothing() {
        for cipher in
            [Cipher::Aes128, Cipher::Aes192, Cipher::Aes256, Cipher::Des, Cipher::TripleDes2, Cipher::TripleDes3]
        {
            let (key, iv) = (vec![1; cipher.key_len()], vec![2; cipher.iv_len()]);
            assert_eq!(cipher.decrypt(&key, &iv, &[0; 7]), None);
            assert_eq!(cipher.decrypt(&key, &iv[1..], &[0; 16]), None);
            assert_eq!(cipher.decrypt(&key[1..], &iv, &[0; 16]), None);
        }
    }
}
