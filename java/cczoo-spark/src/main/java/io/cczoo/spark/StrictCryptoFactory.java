/* SPDX-License-Identifier: Apache-2.0 */
package io.cczoo.spark;

import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.crypto.FileDecryptionProperties;
import org.apache.parquet.crypto.FileEncryptionProperties;
import org.apache.parquet.crypto.ParquetCryptoRuntimeException;
import org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory;
import org.apache.parquet.hadoop.api.WriteSupport.WriteContext;

/**
 * Parquet's own factory, without its two silent downgrades: it reads files that are not encrypted at all as if nothing had happened, so that
 * whoever can write to the storage can put his data in place of the owner's; and it writes in clear where no key is configured. Here
 * both end with an exception.
 *
 * <p>Two settings name what may stay in clear after all: nothing is, unless it is set.
 * <pre>
 * cczoo.plaintext.read   true: files that are not encrypted are read
 * cczoo.plaintext.write  true: files are written in clear where no key is configured
 * </pre>
 */
public final class StrictCryptoFactory extends PropertiesDrivenCryptoFactory {
    public static final String PLAINTEXT_READ = "cczoo.plaintext.read";
    public static final String PLAINTEXT_WRITE = "cczoo.plaintext.write";

    @Override
    public FileEncryptionProperties getFileEncryptionProperties(Configuration conf, Path path, WriteContext context) {
        FileEncryptionProperties properties = super.getFileEncryptionProperties(conf, path, context);
        if (properties == null && !conf.getBoolean(PLAINTEXT_WRITE, false)) {
            throw new ParquetCryptoRuntimeException("cczoo:plaintext-write: no key is configured for " + path
                + "; set parquet.encryption.uniform.key, or parquet.encryption.footer.key and .column.keys");
        }
        return properties;
    }

    @Override
    public FileDecryptionProperties getFileDecryptionProperties(Configuration conf, Path path) {
        FileDecryptionProperties lenient = super.getFileDecryptionProperties(conf, path);
        if (conf.getBoolean(PLAINTEXT_READ, false)) {
            return lenient;
        }
        // footers that are signed and not encrypted are verified: that is the default of the builder
        return FileDecryptionProperties.builder().withKeyRetriever(lenient.getKeyRetriever()).build();
    }
}
