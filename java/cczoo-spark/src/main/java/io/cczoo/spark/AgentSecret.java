/* SPDX-License-Identifier: Apache-2.0 */
package io.cczoo.spark;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.spark.SparkConf;

/** Secrets of Spark itself, from the key agent into a configuration in memory: on no command line, in no file. */
public final class AgentSecret {
    private AgentSecret() {}

    /**
     * Sets a property, e.g. spark.authenticate.secret, to the value of a secret. Spark redacts properties with "secret" in their name.
     *
     * @param name of the secret in the KMS, without "secret/"
     */
    public static SparkConf set(SparkConf conf, String property, String name) throws IOException {
        try (Agent agent = Agent.ofEnvironment()) {
            byte[] value = agent.secret(name);
            String text = new String(value, StandardCharsets.UTF_8);
            Arrays.fill(value, (byte) 0);
            return conf.set(property, text);
        }
    }
}
