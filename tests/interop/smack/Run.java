import java.io.PrintStream;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

import org.igniterealtime.smack.inttest.AbstractSmackIntTest;
import org.igniterealtime.smack.inttest.Configuration;
import org.igniterealtime.smack.inttest.FailedTest;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework.ConcreteTest;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework.TestRunResult;
import org.igniterealtime.smack.inttest.SuccessfulTest;
import org.igniterealtime.smack.inttest.TestNotPossible;
import org.igniterealtime.smack.inttest.annotations.SpecificationReference;

/**
 * Runs integration tests of Smack and prints what became of each: {@code java Run.java CLASSES [CONFORMANCE.md]}.
 *
 * <p>CLASSES is a file of lines `SPECIFICATION CLASS`; a class that says itself which specification it tests has `-` there.
 * A test whose name is a heading of the third level in CONFORMANCE.md may fail. A few others that fail are tried once more, because
 * tests of Smack race with themselves; that they failed once is printed. The rest of the configuration are Smack's own
 * `sinttest.*` properties. The exit code is 0 when nothing else failed and every class could be run.
 */
public final class Run {
    /** With more failures than that, nothing is tried again. */
    private static final int AGAIN_MOST = 5;

    private static final class Tally {
        int passed;
        int failed;
        int argued;
        int impossible;

        int run() {
            return passed + failed + argued;
        }

        void add(Tally other) {
            passed += other.passed;
            failed += other.failed;
            argued += other.argued;
            impossible += other.impossible;
        }

        @Override
        public String toString() {
            return String.format("%d run, %d passed, %d failed, %d argued, %d not possible", run(), passed, failed, argued, impossible);
        }
    }

    private final Map<String, String> specifications = new TreeMap<>();
    private final Set<String> argued = new TreeSet<>();
    private final Map<String, Tally> tallies = new TreeMap<>();
    private final List<String> details = new ArrayList<>();

    public static void main(String[] args) throws Exception {
        Run run = new Run();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] words = line.trim().split("\\s+");
            if (words.length == 2 && !line.startsWith("#")) {
                run.specifications.put(words[1], words[0]);
            }
        }
        if (args.length > 1) {
            for (String line : Files.readAllLines(Path.of(args[1]))) {
                if (line.startsWith("### ")) {
                    run.argued.add(line.substring(4).trim());
                }
            }
        }
        System.exit(run.all(System.out) ? 0 : 1);
    }

    private boolean all(PrintStream out) throws Exception {
        Set<String> packages = new TreeSet<>();
        for (String name : specifications.keySet()) {
            packages.add(name.substring(0, name.lastIndexOf('.')));
        }
        if (System.getProperty("sinttest.enabledTests") == null) {
            System.setProperty("sinttest.enabledTests", String.join(",", specifications.keySet()));
        }
        TestRunResult result = run(packages);
        Set<String> again = failed(result);
        if (!again.isEmpty() && again.size() <= AGAIN_MOST) {
            System.setProperty("sinttest.enabledTests", String.join(",", again));
            again.removeAll(passed(run(packages)));
        }
        boolean whole = collect(result, again);
        report(out);
        return whole;
    }

    private static TestRunResult run(Set<String> packages) throws Exception {
        Configuration configuration = Configuration.newConfiguration(packages.toArray(new String[0]));
        return new SmackIntegrationTestFramework(configuration).run();
    }

    /** The full names of the methods that failed and are not argued. */
    private Set<String> failed(TestRunResult result) {
        Set<String> names = new TreeSet<>();
        for (FailedTest test : result.getFailedTests()) {
            if (!argued.contains(name(test.concreteTest))) {
                names.add(fullName(test.concreteTest));
            }
        }
        return names;
    }

    /** The full names of the methods that passed, with every connection that they were tried with. */
    private Set<String> passed(TestRunResult result) {
        Set<String> names = new TreeSet<>();
        for (SuccessfulTest test : result.getSuccessfulTests()) {
            names.add(fullName(test.concreteTest));
        }
        names.removeAll(failed(result));
        return names;
    }

    /** False if something failed that is not argued, and failed again when it had another try. */
    private boolean collect(TestRunResult result, Set<String> again) {
        for (SuccessfulTest test : result.getSuccessfulTests()) {
            tally(test.concreteTest).passed++;
            if (argued.contains(name(test.concreteTest))) {
                details.add("argued, but it passes: " + line(test.concreteTest));
            }
        }
        for (FailedTest test : result.getFailedTests()) {
            Tally tally = tally(test.concreteTest);
            String fate;
            if (argued.contains(name(test.concreteTest))) {
                tally.argued++;
                fate = "argued        ";
            } else if (again.contains(fullName(test.concreteTest))) {
                tally.failed++;
                fate = "failed        ";
            } else {
                tally.passed++;
                fate = "failed once   ";
            }
            details.add(fate + line(test.concreteTest) + ": " + test.failureReason);
        }
        for (TestNotPossible test : result.getNotPossibleTests()) {
            tally(test.concreteTest).impossible++;
            details.add("not possible  " + line(test.concreteTest) + ": " + test.testNotPossibleException.getMessage());
        }
        for (Map.Entry<Class<? extends AbstractSmackIntTest>, Throwable> entry : result.getImpossibleTestClasses().entrySet()) {
            tally(specification(entry.getKey())).impossible++;
            details.add("not possible  " + specification(entry.getKey()) + " " + entry.getKey().getSimpleName() + ": " + entry.getValue().getMessage());
        }
        return again.isEmpty();
    }

    private void report(PrintStream out) {
        for (String detail : new TreeSet<>(details)) {
            out.println(detail);
        }
        out.println();
        Tally total = new Tally();
        for (Map.Entry<String, Tally> entry : tallies.entrySet()) {
            out.printf("%-9s %s%n", entry.getKey(), entry.getValue());
            total.add(entry.getValue());
        }
        out.println(total);
    }

    private Tally tally(ConcreteTest test) {
        return tally(specification(test.getMethod().getDeclaringClass()));
    }

    private Tally tally(String specification) {
        return tallies.computeIfAbsent(specification, key -> new Tally());
    }

    /** What the class says that it tests, or else what CLASSES says. */
    private String specification(Class<?> testClass) {
        SpecificationReference reference = testClass.getAnnotation(SpecificationReference.class);
        if (reference != null && !reference.document().isBlank()) {
            return spelled(reference.document());
        }
        return spelled(specifications.getOrDefault(testClass.getName(), "other"));
    }

    private static String spelled(String document) {
        return document.replaceFirst("^(RFC|XEP)[ -]*", "$1 ");
    }

    private static String name(ConcreteTest test) {
        Method method = test.getMethod();
        return method.getDeclaringClass().getSimpleName() + "." + method.getName();
    }

    private static String fullName(ConcreteTest test) {
        return test.getMethod().getDeclaringClass().getName() + "." + test.getMethod().getName();
    }

    private String line(ConcreteTest test) {
        return specification(test.getMethod().getDeclaringClass()) + " " + test;
    }
}
