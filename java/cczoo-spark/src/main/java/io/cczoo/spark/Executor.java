/* SPDX-License-Identifier: Apache-2.0 */
package io.cczoo.spark;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.spark.executor.CoarseGrainedExecutorBackend;

/**
 * Main class of executors. What Spark makes up for each of them (addresses, numbers) comes by standard input, one word a line, so that the command
 * line is the same for all and can be part of a measurement. These words are not, and whoever controls the host says them: they are names and
 * numbers, and none of them loads code.
 */
public final class Executor {
    private static final int INPUT_MAX = 4096;
    private static final String ADDRESS = "[A-Za-z0-9._:\\[\\]-]{1,255}:[0-9]{1,5}";
    private static final Map<String, Pattern> OPTIONS = Map.of(
            "--driver-url", Pattern.compile("spark://CoarseGrainedScheduler@" + ADDRESS),
            "--executor-id", Pattern.compile("[0-9]{1,9}"),
            "--hostname", Pattern.compile("[A-Za-z0-9._:\\[\\]-]{1,255}"),
            "--cores", Pattern.compile("[0-9]{1,4}"),
            "--app-id", Pattern.compile("[A-Za-z0-9_-]{1,128}"),
            "--worker-url", Pattern.compile("spark://Worker@" + ADDRESS),
            "--resourceProfileId", Pattern.compile("[0-9]{1,4}"));

    private Executor() {}

    /** The words of the standard input as arguments of Spark's class. Each of OPTIONS once, and no other: --user-class-path would be one. */
    static String[] arguments(String text) {
        List<String> words = new ArrayList<>(List.of(text.split("\n", -1)));
        Set<String> seen = new HashSet<>();
        if (!words.remove(words.size() - 1).isEmpty()) {
            throw new IllegalArgumentException("executor:argument: the last line does not end");
        }
        for (int i = 0; i + 1 < words.size(); i += 2) {
            Pattern value = OPTIONS.get(words.get(i));
            if (value == null || !value.matcher(words.get(i + 1)).matches() || !seen.add(words.get(i))) {
                throw new IllegalArgumentException("executor:argument: got " + printable(words.get(i) + " " + words.get(i + 1)));
            }
        }
        if (words.size() != 2 * OPTIONS.size()) {
            throw new IllegalArgumentException("executor:argument: got " + words.size() + " words, expected each of " + OPTIONS.keySet());
        }
        return words.toArray(new String[0]);
    }

    private static String printable(String text) {
        return text.substring(0, Math.min(200, text.length())).replaceAll("[^ -~]", "?");
    }

    /** Takes none: whoever can add arguments to a command line that is not measured could add others. */
    public static void main(String[] none) throws IOException {
        byte[] input = System.in.readNBytes(INPUT_MAX + 1);
        try {
            if (none.length != 0 || input.length > INPUT_MAX) {
                throw new IllegalArgumentException("executor:argument: expected words on standard input alone, at most " + INPUT_MAX + " bytes");
            }
            CoarseGrainedExecutorBackend.main(arguments(new String(input, StandardCharsets.US_ASCII)));
        } catch (IllegalArgumentException e) {
            System.err.println("refused: " + e.getMessage());
            System.exit(1);
        }
    }
}
