# SPDX-License-Identifier: Apache-2.0
"""Homomorphic encryption by packages of the Python index, for bench/he_peers.sh.
usage: peer_he.py paillier BITS | ckks N   lines: name, least and median microseconds of CPU time

phe: python-paillier with gmpy2, one number at a time, as its users call it.
tenseal: its binding of SEAL's own classes (tenseal.sealapi; built without HEXL), and its vectors (rows "vector ...").
What Python adds to a call is the row "call of nothing"; encode and decode also turn a list of numbers into an array and back.
"""
import sys
import time

SAMPLES, SAMPLE_S = 25, 0.004


def now():
    return time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)


def measure(name, call):
    """Each sample repeats the call for about SAMPLE_S."""
    call()
    start = now()
    call()
    calls = max(1, int(SAMPLE_S / max(now() - start, 1e-7)))
    samples = []
    for _ in range(SAMPLES if calls > 1 else 11):
        start = now()
        for _ in range(calls):
            call()
        samples.append((now() - start) / calls * 1e6)
    samples.sort()
    print("%s\t%.2f\t%.2f" % (name, samples[0], samples[len(samples) // 2]), flush=True)


def paillier(bits):
    from phe import paillier as phe
    from phe.util import HAVE_GMP

    if not HAVE_GMP:
        sys.exit("error: phe does without gmpy2 here")
    public, private = phe.generate_paillier_keypair(n_length=bits)
    number, factor = 0x1F0123456789AB, 0x1B0123456789AD
    a, b = public.encrypt(number), public.encrypt(factor)
    if private.decrypt(a * factor + b) != number * factor + factor:
        sys.exit("error: phe computes wrongly")
    measure("encrypt", lambda: public.encrypt(number))
    measure("decrypt", lambda: private.decrypt(a))
    measure("add", lambda: a + b)
    measure("mul_53", lambda: a * factor)


def seal_context(seal, n):
    bits = {8192: [49, 40, 40, 40, 49]}
    parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    parameters.set_poly_modulus_degree(n)
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(n, bits[n]) if n in bits else
                                 seal.CoeffModulus.BFVDefault(n, seal.SEC_LEVEL_TYPE.TC128))
    return seal.SEALContext(parameters, True, seal.SEC_LEVEL_TYPE.TC128)


def seal_classes(n):
    import tenseal.sealapi as seal

    context = seal_context(seal, n)
    keygen = seal.KeyGenerator(context)
    public, relin, galois = seal.PublicKey(), seal.RelinKeys(), seal.GaloisKeys()
    keygen.create_public_key(public)
    keygen.create_relin_keys(relin)
    keygen.create_galois_keys([3], galois)  # the element of one step, not the step
    encrypt = seal.Encryptor(context, public, keygen.secret_key())
    decrypt = seal.Decryptor(context, keygen.secret_key())
    encoder, evaluate = seal.CKKSEncoder(context), seal.Evaluator(context)
    values = [i * 7919 % 10007 / 10007 - 0.5 for i in range(n // 2)]
    scale, plain, back = 2.0**40, seal.Plaintext(), seal.Plaintext()
    a, b, product, out, turned = (seal.Ciphertext() for _ in range(5))
    encoder.encode(values, scale, plain)
    encrypt.encrypt(plain, a)
    encrypt.encrypt(plain, b)
    evaluate.multiply(a, b, product)
    evaluate.rotate_vector(a, 1, galois, turned)
    decrypt.decrypt(turned, back)
    if abs(encoder.decode_double(back)[0] - values[1]) > 1e-4:
        sys.exit("error: what was rotated is not the same")
    measure("call of nothing", encoder.slot_count)
    measure("encode", lambda: encoder.encode(values, scale, plain))
    measure("decode", lambda: encoder.decode_double(plain))
    measure("encrypt pk", lambda: encrypt.encrypt(plain, out))
    measure("encrypt sym", lambda: encrypt.encrypt_symmetric(plain, out))
    measure("decrypt", lambda: decrypt.decrypt(a, back))
    measure("add", lambda: evaluate.add(a, b, out))
    measure("multiply", lambda: evaluate.multiply(a, b, out))
    measure("square", lambda: evaluate.square(a, out))
    measure("multiply_plain", lambda: evaluate.multiply_plain(a, plain, out))
    measure("relinearize", lambda: evaluate.relinearize(product, relin, out))
    measure("rescale", lambda: evaluate.rescale_to_next(a, out))
    measure("rotate", lambda: evaluate.rotate_vector(a, 1, galois, out))


def vectors(n):
    import tenseal

    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, n, coeff_mod_bit_sizes=[49, 40, 40, 40, 49], n_threads=1)
    context.global_scale = 2**40
    values = [i * 7919 % 10007 / 10007 - 0.5 for i in range(n // 2)]
    a, b = tenseal.ckks_vector(context, values), tenseal.ckks_vector(context, values)
    if abs((a * b).decrypt()[1] - values[1] ** 2) > 1e-4:
        sys.exit("error: the product is not the same")
    measure("vector encrypt", lambda: tenseal.ckks_vector(context, values))
    measure("vector decrypt", a.decrypt)
    measure("vector add", lambda: a + b)
    measure("vector multiply", lambda: a * b)


def ckks(n):
    seal_classes(n)
    if n == 8192:
        vectors(n)


{"paillier": paillier, "ckks": ckks}[sys.argv[1]](int(sys.argv[2]))
